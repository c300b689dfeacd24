"""The share explorer: the published figures come out, the boards' shares are the hardware room's, the student's code is driven."""

import itertools

import pytest

import labkit
from labkit.data import features
from labkit.explorers import ShareExplorer
from labkit.explorers.shares import BOARDS, GAINS, OWN, PAPER, amdahl
from labkit.explorers.view import View
from labkit.hardware import analog_front_end
from labkit.hardware.catalog import load
from labkit.hardware.reference import reference

PUBLISHED = load("analog_front_end")["published"]
ORDER = ("share", "front_end_gain", "network_gain")


def test_it_starts_with_the_published_figures():
    explorer = ShareExplorer()
    r = explorer.result
    assert (r.share, r.front_end_gain, r.network_gain) == (0.85, 29, 1)
    assert round(r.share_after, 2) == PUBLISHED["share_after"].value and round(r.system_gain, 2) == 5.58
    assert "5.58 times cheaper" in explorer.status and "6.67 times cheaper" in explorer.status
    said = " ".join(explorer.sources())
    assert all(number.source in said and f"{number.value:g}" in said for number in PUBLISHED.values())


def test_no_front_end_alone_reaches_71():
    gains = [ShareExplorer(front_end_gain=gain).result.system_gain for gain in GAINS]
    assert gains == sorted(gains) and max(gains) < 6.67 < PUBLISHED["frugal_gain"].value
    both = ShareExplorer(network_gain=71)
    assert both.result.system_gain == pytest.approx(31.8, abs=0.05) and both.result.share_after > 0.9


@pytest.mark.parametrize("board", BOARDS)
def test_shares_of_boards_are_those_of_the_device_models(board):
    expected = analog_front_end.budget(labkit.device(board), features.workload(), reference("kws"))
    explorer = ShareExplorer(before=board)
    assert explorer.share == pytest.approx(expected.front_end_share.mid, abs=0.005)
    assert explorer.result.before_uj.mid == pytest.approx(expected.total_uj.mid, rel=0.01)
    assert dict(explorer.rows(explorer.result))["energy, before"].endswith("mJ")
    assert any("Acquisition: microphone" in sentence for sentence in explorer.sources())


def test_a_system_brings_its_share_and_a_share_moved_away_is_your_own():
    explorer = ShareExplorer()
    explorer.before = "nucleo-l4r5zi"
    assert explorer.share == 0.47 and explorer.result.before_uj is not None
    explorer.share = 0.5
    assert explorer.before == OWN and explorer.result.before_uj is None
    explorer.before = PAPER
    assert explorer.share == 0.85 and explorer.result.before_uj is None
    explorer.before = OWN
    assert explorer.share == 0.85


def test_the_ghost_is_the_system_before_the_move():
    view = View(ShareExplorer())
    first = view.image.value
    view.explorer.network_gain = 10
    assert view.explorer.ghost.network_gain == 1 and view.image.value != first


def test_every_setting_draws():
    view = View(ShareExplorer())
    explorer, settings = view.explorer, ShareExplorer.settings()
    grid = itertools.product(*(settings[name].choices(explorer)[::step] for name, step in zip(ORDER, (14, 5, 4), strict=True)))
    for explorer.share, explorer.front_end_gain, explorer.network_gain in grid:
        r = explorer.result
        assert explorer.fits and 0 < r.share_after < 1 and 1 <= r.system_gain <= r.ceiling * (1 + 1e-9)
        assert (r.share_after, r.system_gain) == amdahl(r.share, r.front_end_gain, r.network_gain)
        assert len(explorer.rows(r)) == 7 and "e+" not in explorer.status


def test_the_students_function_is_driven():
    asked = []

    def forgets_the_network(share, front_end_gain, network_gain):
        asked.append((share, front_end_gain, network_gain))
        return 1.0, front_end_gain

    explorer = ShareExplorer(forgets_the_network)
    assert explorer.result.system_gain == 29 and explorer.result.share_after == 1
    assert set(asked) == {(0.85, gain, 1) for gain in GAINS}


def test_mistakes_become_sentences():
    def unfinished(*_):
        raise NotImplementedError("exercise 5")

    assert ShareExplorer(unfinished).status == "unfinished is not written yet (exercise 5)."
    wrong = (lambda *_: 3.0, lambda *_: (16.3, 5.6), lambda *_: (0.16, float("nan")), lambda *_: (0.16, 0), lambda *_: None)
    for function in wrong:
        explorer = ShareExplorer(function)
        assert "return two numbers, a share from 0 to 1 and a gain above 0" in explorer.status and not explorer.fits
        View(explorer)
