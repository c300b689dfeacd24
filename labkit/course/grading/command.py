"""`labkit grade`: finds the submissions, sees that the labs can be graded here, grades, and writes the reports."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from labkit.course.build import find_root
from labkit.course.grading import batch, lms, one, report, sandbox, wording
from labkit.course.grading.collect import find
from labkit.course.grading.one import Job
from labkit.course.grading.records import STATUSES, Limits, Result

ELSEWHERE = {  # where bubblewrap cannot be had, by sys.platform
    "darwin": "On a Mac, grade in a Linux virtual machine (brew install lima) or on a server; ",
    "win32": "On Windows, grade inside WSL 2 (wsl --install); ",
}


def grade(
    submissions: str | Path,
    out: str | Path,
    *,
    lab: str | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    backend: str = "loky",
    trusted: bool = False,
    gradebook: str | Path | None = None,
    root: str | Path | None = None,
) -> int:
    """Grades a folder of submissions into `out`. Returns 1 where the grader failed on a submission, else 0.

    ValueError in one sentence where nothing can be graded: no such folder or lab, nothing handed in, no sandbox for students who
    are not `trusted`, or a lab whose own solution does not get all points here.
    """
    submissions, out = Path(submissions), Path(out)
    if out.resolve().is_relative_to(submissions.resolve()):
        raise ValueError(f"{out} lies in {submissions}, where it would be taken for a submission; choose another --out")
    if workers is not None and workers < 1:
        raise ValueError("--workers is a number of processes, 1 or more")
    if timeout is not None and not timeout > 0:
        raise ValueError("--timeout is a number of seconds a cell, more than 0")
    limits = Limits() if timeout is None else Limits(cell_s=timeout, notebook_s=max(Limits.notebook_s, 10 * timeout))
    if gradebook and not Path(gradebook).is_file():
        raise ValueError(f"there is no gradebook {gradebook}; export the grades of your course as CSV first")
    if gradebook and (Path(gradebook).name == "scores.csv" or Path(gradebook).resolve().parent == out.resolve()):
        raise ValueError(f"the copy of {gradebook} would overwrite a file in {out}; call it export.csv, outside of that folder")
    jobs, strange = find(submissions, root or find_root(), lab=lab, limits=limits, sandbox=_sandbox(trusted))
    for sentence in strange:
        print(sentence, file=sys.stderr)
    if not jobs:
        raise ValueError(f"{submissions} holds no notebook to grade; call them STUDENT/NN_name.ipynb or STUDENT__NN_name.ipynb")
    out.mkdir(parents=True, exist_ok=True)
    pool = {"workers": workers, "backend": backend}
    try:
        _rehearse(jobs, out, pool)
        results = batch.grade_all(jobs, out, **pool)
    except KeyboardInterrupt:
        print(f"\nStopped. What is graded is kept in {out / 'cache'}; the same command goes on from there.", file=sys.stderr)
        raise
    report.write(results, out)
    if gradebook:
        for sentence in lms.fill_file(Path(gradebook), results, out / Path(gradebook).name, lab=lab):
            print(sentence, file=sys.stderr)
    print(summary(results, out))
    return 1 if any(map(one.failed, results)) else 0


def summary(results: Sequence[Result], out: Path) -> str:
    """The batch in a sentence or two."""
    counts = Counter(result.status for result in results)
    words = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    most = sum(result.max_points for result in results)
    share = 100 * sum(result.points for result in results) / most if most else 0
    text = f"{len(results)} graded: {words}; {share:.0f} % of all points. Open {out / 'index.html'}; scores.csv lies beside it."
    faults = [wording.clean(f"{result.student} ({result.lab[:2]})") for result in results if one.failed(result)]
    if faults:
        text += f"\nThe grader failed on {', '.join(faults)}; the same command tries them again."
    return text


def _sandbox(trusted: bool) -> str:
    """What submissions will run in. Without a sandbox nothing runs, unless the teacher said that these students are trusted."""
    kind = sandbox.available()
    if kind == "none":
        if not trusted:
            raise ValueError(f"{sandbox.why()} {ELSEWHERE.get(sys.platform, '')}--trusted says that you do trust them.")
        print(sandbox.why(), file=sys.stderr)
    return kind


def _rehearse(jobs: Sequence[Job], out: Path, pool: dict) -> None:
    """Grades the solution of each lab first: on a machine where it does not get all points, nobody's grade would mean anything."""
    one_each = {job.lab: job for job in jobs}
    own = [Job("(solution)", name, job.trusted, job.trusted, job.limits, job.sandbox) for name, job in one_each.items()]
    for result in batch.grade_all(own, out, progress=False, **pool):
        if result.points < result.max_points:
            lost = next(e for e in result.exercises if e.points < e.max_points)
            why = result.note if result.status == "unreadable" else f"exercise {lost.exercise}: {lost.note}"
            raise ValueError(f"the solution of {result.lab} does not get all its points here, so nothing was graded ({why})")
