"""A toy lab, built once: what the tests of the lab machinery take apart."""

import shutil

import pytest

from labkit.course.build import build

TOY = '''\
# %% [markdown] cell="intro"
# # Frames
# copy a signal into windows
# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np

from labkit.course import Prediction, check, ledger

# copy the signal: a comment, not the magic %copy
x = np.arange(6.0)
# %% cell="predict"
count = Prediction("99-count", "How many windows?", options=["1", "2", "3"])
count
# %% cell="ex1-answer" role="answer" exercise="1"
def frame(x, window, hop):
    """Cut `x` (samples,) into windows (n, window)."""
    x = np.asarray(x)
    # BEGIN SOLUTION
    n = 1 + (len(x) - window) // hop
    return np.stack([x[i * hop : i * hop + window] for i in range(n)])
    # END SOLUTION
# %% cell="ex1-test" role="test" exercise="1"
check.close("1", lambda: frame(x, 3, 2), [[0, 1, 2], [2, 3, 4]], title="on paper")
# %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-3
check.value(frame(np.linspace(0, 1, 20), 5, 3))
# %% cell="ex1-check-count" role="check" exercise="1" points=1
check.value(len(frame(np.zeros(1000), 25, 10)))
# %% cell="ex1-wrong-hop" role="wrong" exercise="1"
# why: ignores the hop
def frame(x, window, hop):
    return np.stack([x[i : i + window] for i in range(len(x) - window + 1)])
# %% cell="ex2-answer" role="answer" exercise="2"
def energies(x, window, hop):
    """Energy of each window, (n,). Uses frame."""
    # BEGIN SOLUTION
    return (frame(x, window, hop) ** 2).sum(axis=1)
    # END SOLUTION
# %% cell="ex2-test" role="test" exercise="2"
check.close("2", lambda: energies(x, 3, 2), [5, 29], title="on paper")
# %% cell="ex2-check" role="check" exercise="2" points=3
check.value({"energies": energies(np.arange(9.0), 4, 4), "unit": "1"})
# %% cell="ex2-wrong-mean" role="wrong" exercise="2"
# why: mean instead of sum
def energies(x, window, hop):
    return (frame(x, window, hop) ** 2).mean(axis=1)
# %% cell="plot"
with check.needs("1", "2"):
    loud = energies(np.sin(np.arange(400) / 9), 40, 20)
    plt.plot(loud)
    plt.show()
# %% cell="plot-again"
with check.needs("1", "2"):
    plt.plot(np.log(loud))
    plt.show()
# %% cell="reveal"
count.reveal("2")
ledger.record("99", window=40)
'''
NAME = "99_toy"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A course of one lab, built. Do not change it; `course` is a copy to change."""
    root = tmp_path_factory.mktemp("course")
    for folder in ("solutions", "notebooks"):
        (root / folder).mkdir()
    (root / "solutions" / f"{NAME}.py").write_text(TOY, encoding="utf-8")
    assert build(root=root) == []
    return root


@pytest.fixture
def course(built, tmp_path):
    return shutil.copytree(built, tmp_path / "course")


@pytest.fixture(autouse=True)
def scratch_ledger(tmp_path, monkeypatch):
    """No test touches the ledger of whoever runs it."""
    monkeypatch.setenv("LABKIT_LEDGER", str(tmp_path / "ledger.json"))
    monkeypatch.delenv("LABKIT_STRICT", raising=False)
