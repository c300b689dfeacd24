"""A sheet of two exercises that needs no PyTorch: what the tests of the runner let submissions break."""

from labkit.course.compare import encode
from labkit.course.grading.records import Cell, Sheet

SHIFT = "def shift(x):\n    return x + 1"
DOUBLE = "def double(x):\n    return 2 * x"


def sheet(shift: str = SHIFT, double: str = DOUBLE, extra: str = "") -> Sheet:
    """Exercise 1 (2 + 1 points) asks for `shift`, exercise 2 (3 points) for `double`; `extra` is a cell of the student's own."""
    cells = [
        Cell("setup", "given", "import numpy as np\n\nfrom labkit.course import check"),
        *([Cell("own", "extra", extra)] if extra else []),
        Cell("ex1-answer", "answer", shift, "1"),
        Cell("ex1-check", "check", "check.value(shift(np.arange(3)))", "1", 2, expected=(encode([1, 2, 3]),)),
        Cell("ex1-check-one", "check", "check.value(shift(41.5))", "1", 1, 1e-6, expected=(encode(42.5),)),
        Cell("ex2-answer", "answer", double, "2"),
        Cell(
            "ex2-check", "check", "check.value(double(5))\ncheck.value(double(-0.5))", "2", 3, expected=(encode(10), encode(-1.0))
        ),
    ]
    return Sheet("99_toy", tuple(cells), (), {"1": 3.0, "2": 3.0})
