"""The copy of labkit that a kernel imports while exercises are graded."""

import importlib.util
import subprocess
import sys

import pytest

from labkit.course.grading.forbidden import copy_without

PACKAGE = {
    "__init__.py": "from toy.maths import double as twice\n",
    "maths.py": (
        "import functools\n\n\n"
        'def double(x, factor=2):\n    """SECRET"""\n    return factor * x  # SECRET\n\n\n'
        "def triple(x):\n    return 3 * x\n\n\n"
        "class Shape:\n    sides: int = 4\n\n    @property\n    def area(self):\n        return 17\n\n"
        "    def name(self):\n        return 'shape'\n"
    ),
    "room/__init__.py": "from toy.maths import Shape, double\n",
    "room/user.py": "from toy.maths import double\n\n\ndef four(x):\n    return double(double(x))\n",
}


@pytest.fixture
def package(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "source" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "source" / "toy"


def says(folder, code):
    """What a fresh Python prints that imports the copy."""
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["maths.double", "toy.maths.double", "room.double", "twice"])
def test_a_hidden_function_is_gone_under_every_name(package, tmp_path, name):
    copy = copy_without([name], tmp_path / "cache", package)
    sentence = "is not available while exercises are graded; use your own code"
    for call in ("toy.twice(1)", "toy.room.double(1)", "toy.room.user.four(1)", "toy.maths.double(x=1, factor=3)"):
        assert sentence in says(copy, f"import toy.room.user, toy.maths; {call}")
    assert says(copy, "import toy.maths; print(toy.maths.triple(2))") == "6"


def test_nothing_of_its_source_is_left(package, tmp_path):
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "maths.cpython-311.pyc").write_bytes(b"SECRET")
    copy = copy_without(["maths.double"], tmp_path / "cache", package)
    assert not [path for path in copy.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert "SECRET" in (package / "maths.py").read_text(), "the original stays"


def test_a_method_a_class_and_a_module(package, tmp_path):
    area = copy_without(["maths.Shape.area"], tmp_path / "cache", package)
    assert says(area, "import toy; s = toy.maths.Shape(); print(s.sides, s.name())") == "4 shape"
    assert "RuntimeError" in says(area, "import toy; toy.maths.Shape().area")
    whole = copy_without(["room.Shape"], tmp_path / "cache", package)
    assert "RuntimeError" in says(whole, "import toy; toy.maths.Shape().name()")
    assert says(whole, "import toy; print(toy.maths.Shape().sides, toy.maths.triple(1))") == "4 3"
    module = copy_without(["maths"], tmp_path / "cache", package)
    for call in ("triple(1)", "double(1)", "Shape().area"):
        assert "RuntimeError" in says(module, f"import toy; toy.maths.{call}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("maths.duoble", "'duoble'.*double"),
        ("nowhere.double", "'nowhere'"),
        ("maths.double.inner", "has no parts"),
        ("toy", "there is no 'toy'"),
        ("maths.Shape.volume", "'volume'"),
    ],
)
def test_a_name_that_is_not_there_is_refused(package, tmp_path, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        copy_without([name], tmp_path / "cache", package)
    assert not list((tmp_path / "cache").glob("*")), "no half copy stays"


def test_copies_are_kept_by_content(package, tmp_path):
    cache = tmp_path / "cache"
    first = copy_without(["maths.double", "maths.triple"], cache, package)
    assert copy_without(["toy.maths.triple", "maths.double"], cache, package) == first
    assert copy_without([], cache, package) != first
    assert len(list(cache.iterdir())) == 2


def test_the_copy_of_labkit_holds_no_grader(tmp_path):
    copy = copy_without(["data.features.frame"], tmp_path)
    grading = {path.stem for path in (copy / "labkit" / "course" / "grading").glob("*.py")}
    assert grading == {"__init__", "zygote", "processes", "scratch", "student_kernel", "syscalls"}
    spec = importlib.util.spec_from_file_location("features", copy / "labkit" / "data" / "features.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["features"] = module
    try:
        spec.loader.exec_module(module)
        with pytest.raises(RuntimeError, match=r"labkit\.data\.features\.frame is not available"):
            module.frame(None, None)
    finally:
        del sys.modules["features"]
