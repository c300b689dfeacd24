"""What passes between the parts of the grader: a sheet to run, what came of each cell, and the result of a student.

Plain records without behaviour, so that a result can cross processes and machines as JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

STATUSES = ("ok", "repaired", "timed out", "unreadable")


@dataclass(frozen=True)
class Cell:
    """A cell to run: "given" and "check" come from the trusted lab, "answer" and "extra" from the student.

    `expected` holds the values stored in the solution; they stay in the grading process and never reach a kernel.
    """

    id: str
    kind: str
    source: str
    exercise: str | None = None
    points: float = 0
    rtol: float | None = None
    atol: float | None = None
    expected: tuple[dict, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A submission rebuilt from the trusted lab: its cells in the order they run, what had to be repaired, points per exercise."""

    lab: str
    cells: tuple[Cell, ...]
    repairs: tuple[str, ...]
    points: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What came of one cell. `message` is a sentence for the student; it never holds an expected value."""

    cell: str
    kind: str
    exercise: str | None
    points: float
    passed: bool
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Limits:
    """What a submission may take."""

    cell_s: float = 30.0
    notebook_s: float = 300.0
    memory_mb: int = 4096
    output_bytes: int = 2_000_000
    revivals: int = 3


@dataclass(frozen=True)
class ExerciseResult:
    exercise: str
    points: float
    max_points: float
    note: str = ""


@dataclass(frozen=True)
class Result:
    """One student's lab. `status` is one of STATUSES and `note` says it in a sentence; `sandbox` is "bubblewrap" or "none"."""

    student: str
    lab: str
    status: str
    note: str
    exercises: tuple[ExerciseResult, ...]
    repairs: tuple[str, ...] = ()
    seconds: float = 0.0
    sandbox: str = "none"

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"no status {self.status!r}; it is one of {', '.join(STATUSES)}")

    @property
    def points(self) -> float:
        return sum(exercise.points for exercise in self.exercises)

    @property
    def max_points(self) -> float:
        return sum(exercise.max_points for exercise in self.exercises)

    def to_dict(self) -> dict:
        """As JSON.

        >>> half = Result("ada", "00_start", "ok", "graded", (ExerciseResult("1", 1.5, 3.0, "the sum is not 1"),))
        >>> Result.from_dict(half.to_dict()) == half, half.points, half.max_points
        (True, 1.5, 3.0)
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Result:
        exercises = tuple(ExerciseResult(**exercise) for exercise in data["exercises"])
        return cls(**{**data, "exercises": exercises, "repairs": tuple(data["repairs"])})
