"""A class of submissions: mapped over workers by joblib, a file for each result, so that a stopped batch goes on where it was.

    OUT/cache/<sha256>.json     one result; the name is a hash of all it depends on

A submission runs in a sandbox of its own (runner.py), so a worker should never die. Should one all the same (the system's memory is
gone, say), no other student's score may be lost: results that are there stay, whoever was being graded is graded once more, alone,
and the rest go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import labkit
from labkit import atomic
from labkit.course.grading import one
from labkit.course.grading.one import Job
from labkit.course.grading.records import Result
from labkit.naming import did_you_mean

BACKENDS = ("loky", "dask")
GRACE_S = 60.0  # beyond a submission's own budget: to start a kernel, to read the files
IDLE_S = 30  # after which a worker ends whose batch was killed


def grade_all(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int | None = None,
    backend: str = "loky",
    progress: bool = True,
    unit: Callable[[Job], Result] = one.attempt,
) -> list[Result]:
    """The results of `jobs`, in their order; those that `out`/cache holds are not computed again.

    `workers` is the number of processes, one a core without it. With ``backend="dask"`` the jobs go to the cluster of the address
    that DASK_SCHEDULER_ADDRESS names (its machines must see the same files), else to a local one. ValueError for another backend.
    `unit` is what is mapped.
    """
    from tqdm import tqdm

    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; {did_you_mean(backend, BACKENDS)}")
    cache = Path(out) / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    files = {job: cache / f"{key(job)}.json" for job in jobs}
    results = {job: result for job, file in files.items() if (result := _stored(file))}
    todo = [job for job in files if job not in results]
    with tqdm(total=len(files), initial=len(results), desc="grading", unit="notebook", disable=not progress) as bar:
        for job, result, final in _stream(todo, workers or os.cpu_count() or 1, backend, unit):
            if final:
                atomic.write(files[job], json.dumps(result.to_dict()))
            results[job] = result
            bar.update()
    return [results[job] for job in jobs]


def key(job: Job) -> str:
    """The name of a result: a hash of the submission, the trusted lab, this labkit, and everything else the job says."""
    said = repr((job.student, job.lab, job.limits, job.sandbox, job.remarks)).encode()
    digest = hashlib.sha256(_labkit())
    for part in (said, _content(job.trusted), _content(job.submission)):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _stored(file: Path) -> Result | None:
    try:
        return Result.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):  # not there, or not whole: it is computed again
        return None


def _stream(jobs: list[Job], workers: int, backend: str, unit: Callable) -> Iterator[tuple[Job, Result, bool]]:
    """Each job with its result, and whether that is final, as they come; whatever dies meanwhile."""
    todo = dict.fromkeys(jobs)
    patience_s = max((1.5 * job.limits.notebook_s for job in jobs), default=0) + GRACE_S
    lonely = Lonely(unit, patience_s)
    with lonely, _backend(backend, workers):
        while todo:
            if backend == "loky" and workers == 1:  # joblib would run it in this very process
                suspects = list(todo)
            else:
                try:
                    for job, result, final in _parallel(list(todo), patience_s, unit):
                        del todo[job]
                        yield job, result, final
                except Exception:  # a worker died, or nothing has come for too long
                    pass
                # joblib starts jobs in their order: who was being graded is among the first that are missing
                suspects = list(todo)[:workers]
            for job in suspects:
                del todo[job]
                yield job, *lonely.grade(job)


def _parallel(jobs: list[Job], patience_s: float, unit: Callable) -> Iterator[tuple[Job, Result, bool]]:
    from joblib import Parallel, delayed

    parallel = Parallel(return_as="generator_unordered", batch_size=1, timeout=patience_s)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        for number, result, final in parallel(delayed(_work)(unit, number, job) for number, job in enumerate(jobs)):
            yield jobs[number], result, final


def _work(unit: Callable[[Job], Result], number: int, job: Job) -> tuple[int, Result, bool]:
    """In a worker. A mistake of the grader is no final result: the next run tries again."""
    try:
        return number, unit(job), True
    except Exception as error:
        return number, one.fault(job, f"{type(error).__name__}: {error}"), False


class Lonely:
    """Grades one submission at a time in a process of its own, which may die, or be ended when it takes too long."""

    def __init__(self, unit: Callable[[Job], Result], patience_s: float):
        self.unit, self.patience_s = unit, patience_s
        self._process = None

    def __enter__(self) -> Lonely:
        return self

    def __exit__(self, *error) -> None:
        self._end(kill=False)

    def grade(self, job: Job) -> tuple[Result, bool]:
        from joblib.externals.loky import ProcessPoolExecutor

        self._process = self._process or ProcessPoolExecutor(max_workers=1)
        try:
            return self._process.submit(_work, self.unit, 0, job).result(self.patience_s)[1:]
        except TimeoutError:
            why = f"it took longer than {self.patience_s:.0f} s and had to be ended"
        except BrokenExecutor:
            why = "the process that graded it died; the machine may have run out of memory"
        self._end(kill=True)
        return one.fault(job, why), False

    def _end(self, kill: bool) -> None:
        if self._process:
            self._process.shutdown(wait=True, kill_workers=kill)
        self._process = None


@contextmanager
def _backend(name: str, workers: int):
    from joblib import parallel_config

    if name == "loky":
        with parallel_config(backend="loky", n_jobs=workers, idle_worker_timeout=IDLE_S):
            yield
        return
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("the dask backend needs dask; pip install 'labkit[dask]'") from None
    address = dask.config.get("scheduler-address", None)
    cluster = address or LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client, parallel_config(backend="dask", client=client, n_jobs=-1):
        try:
            yield
        finally:
            if not address:
                cluster.close()


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:  # whoever grades it says so
        return type(error).__name__.encode()


@lru_cache(maxsize=1)
def _labkit() -> bytes:
    """A hash of the whole package: another labkit may give other points."""
    package = Path(labkit.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(package)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()
