"""A batch: every result is there in the end and nothing twice, whatever dies, hangs or is killed on the way."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from labkit.course.grading import batch, one
from labkit.course.grading.records import Limits, Result

from .classroom import hand_in, jobs
from .orders import graded, obey

ROOT = Path(__file__).resolve().parents[3]
run = partial(batch.grade_all, unit=obey, progress=False)


@pytest.fixture(autouse=True)
def one_version(monkeypatch):
    """Whoever edits the package while the tests run does not disturb them."""
    monkeypatch.setattr(batch, "_labkit", lambda: b"this version")


def states(results: list[Result]) -> dict[str, bool]:
    """Whether each student was graded; False where the grader failed."""
    return {result.student: not one.failed(result) for result in results}


def cached(out: Path) -> set[str]:
    return {json.loads(file.read_text())["student"] for file in (out / "cache").glob("*.json")}


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_once(tmp_path, workers):
    todo = jobs(tmp_path, ["sleep 0.1", "done", "done", "done"])
    results = run(todo, tmp_path / "out", workers=workers)
    assert [result.student for result in results] == ["s00", "s01", "s02", "s03"]
    assert sorted(graded(tmp_path)) == ["s00", "s01", "s02", "s03"] == sorted(cached(tmp_path / "out"))
    assert run(todo, tmp_path / "out", workers=workers) == results and len(graded(tmp_path)) == 4


def test_a_result_is_kept_under_all_it_depends_on(tmp_path, monkeypatch):
    (job,) = jobs(tmp_path, ["done"])
    names = {batch.key(job), batch.key(job)}
    for other in (
        {"student": "eve"},
        {"lab": "00_start"},
        {"limits": Limits(cell_s=1)},
        {"sandbox": "none"},
        {"remarks": ("late",)},
    ):
        names.add(batch.key(dataclasses.replace(job, **other)))
    hand_in(Path(job.submission), "done again")
    names.add(batch.key(job))
    hand_in(Path(job.trusted), "{}")
    names.add(batch.key(job))
    monkeypatch.setattr(batch, "_labkit", lambda: b"another version")
    names.add(batch.key(job))
    Path(job.submission).unlink()
    names.add(batch.key(job))
    assert len(names) == 10


def test_a_half_written_result_is_computed_again(tmp_path):
    todo = jobs(tmp_path, ["done", "done"])
    results = run(todo, tmp_path / "out", workers=1)
    first, second = (tmp_path / "out" / "cache" / f"{batch.key(job)}.json" for job in todo)
    first.write_text(first.read_text()[:-9])
    second.write_text("{}")
    assert run(todo, tmp_path / "out", workers=1) == results and len(graded(tmp_path)) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_costs_nobody_elses_score(tmp_path, workers):
    todo = jobs(tmp_path, ["sleep 0.1", "die", "done", "done", "done"])
    results = run(todo, tmp_path / "out", workers=workers)
    assert states(results) == {"s00": True, "s01": False, "s02": True, "s03": True, "s04": True}
    culprit = results[1]
    assert culprit.status == "unreadable" and "the process that graded it died" in culprit.note and culprit.max_points == 6
    assert cached(tmp_path / "out") == {"s00", "s02", "s03", "s04"}  # the next run tries the other again
    hand_in(Path(todo[1].submission), "done")
    assert states(run(todo, tmp_path / "out", workers=workers))["s01"]


def test_a_mistake_of_the_grader_is_a_sentence_and_is_tried_again(tmp_path):
    todo = jobs(tmp_path, ["raise no space left", "done"])
    results = run(todo, tmp_path / "out", workers=2)
    assert states(results) == {"s00": False, "s01": True} and "RuntimeError: no space left" in results[0].note
    assert cached(tmp_path / "out") == {"s01"}


def test_what_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "GRACE_S", 3)
    todo = jobs(tmp_path, ["done", "sleep 60", "done", "done"], limits=Limits(notebook_s=2))
    start = time.monotonic()
    results = run(todo, tmp_path / "out", workers=2)
    assert states(results) == {"s00": True, "s01": False, "s02": True, "s03": True} and time.monotonic() - start < 50
    assert "it took longer than 6 s and had to be ended" in results[1].note


def start_batch(folder: Path, todo: list) -> subprocess.Popen:
    """A batch in a process group of its own."""
    (folder / "jobs").write_bytes(pickle.dumps(todo))
    code = f"""
import pickle, signal
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore Ctrl-C
from labkit.course.grading import batch
from tests.course.grading.orders import obey
folder = Path({str(folder)!r})
batch._labkit = lambda: b"this version"
batch.grade_all(pickle.loads((folder / "jobs").read_bytes()), folder / "out", workers=2, unit=obey, progress=False)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, some: int) -> None:
    end = time.monotonic() + 60
    while not (folder / "out" / "cache").exists() or len(cached(folder / "out")) < some:
        assert time.monotonic() < end, "the batch does not start"
        time.sleep(0.02)


def test_a_batch_that_was_killed_goes_on(tmp_path):
    todo = jobs(tmp_path, ["sleep 0.2"] * 12)
    process = start_batch(tmp_path, todo)
    wait_for(tmp_path, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept, before = cached(tmp_path / "out"), graded(tmp_path)
    assert 4 <= len(kept) < 12
    results = run(todo, tmp_path / "out", workers=2)
    assert all(states(results).values()) and len(results) == 12
    again = graded(tmp_path)[len(before) :]
    assert not kept & set(again) and len(set(again)) == len(again)  # nothing twice
    assert kept | set(again) == {job.student for job in todo}  # nothing lost


def test_ctrl_c_keeps_what_is_done_and_ends_everything(tmp_path):
    process = start_batch(tmp_path, jobs(tmp_path, ["sleep 0.2"] * 40))
    wait_for(tmp_path, 2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    assert "KeyboardInterrupt" in process.stderr.read()
    done = len(graded(tmp_path))
    assert 2 <= len(cached(tmp_path / "out")) < 40
    time.sleep(1)
    assert len(graded(tmp_path)) <= done + 2  # no worker goes on without the batch


def test_dask_gives_the_same(tmp_path):
    pytest.importorskip("distributed")
    todo = jobs(tmp_path, ["done", "raise a sentence", "sleep 0.1", "done"])
    results = run(todo, tmp_path / "out", workers=2, backend="dask")
    assert states(results) == {"s00": True, "s01": False, "s02": True, "s03": True}
    assert run(todo, tmp_path / "loky", workers=2) == results


def test_an_unknown_backend_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="unknown backend 'daks'; did you mean dask"):
        run([], tmp_path, backend="daks")
    assert run([], tmp_path, workers=2) == []
