"""The dataflow explorer: bars are the model's energies, squares the elements' work; it drives the student's function."""

import itertools

import numpy as np
import pytest

from labkit.course.style import OURS
from labkit.explorers import DataflowExplorer
from labkit.explorers.dataflow import ALEXNET, MEMORIES, NETWORKS, WHOLE, energy, layers
from labkit.explorers.view import View
from labkit.hardware.dataflow import DATAFLOWS, LEVELS, Array, Costs, move
from labkit.hardware.reference import reference

KWS = "keywords (DS-CNN)"


def test_bars_are_the_energies_of_the_model():
    explorer = DataflowExplorer(network=KWS, layer="conv0", side=8, buffer=32)
    array = Array(8, 8, 32 * 1024)
    for dataflow in DATAFLOWS:
        result = move(reference("kws").layers[0], dataflow, array)
        assert explorer.result.per_mac[dataflow] == pytest.approx(result.per_mac(Costs.at_45nm(array)).mid)
        assert explorer.result.movements[dataflow].words.tolist() == result.words.tolist()


def test_a_network_adds_up_its_layers():
    explorer = DataflowExplorer(network=KWS, dataflow="output stationary")
    whole = explorer.result.movement
    parts = []
    for explorer.layer in list(layers(KWS)):
        parts.append(explorer.result)
    assert whole.macs == sum(part.movement.macs for part in parts) == 2_656_768
    assert whole.cycles == sum(part.movement.cycles for part in parts)
    assert explorer.layer != WHOLE
    explorer.layer = WHOLE
    assert explorer.result.work.tolist() == sum(part.work for part in parts).tolist()


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_squares_are_the_share_of_time_at_work(dataflow):
    result = DataflowExplorer(network=ALEXNET, dataflow=dataflow).result
    assert result.occupancy.mean() == pytest.approx(result.movement.utilisation)
    assert result.occupancy.max() <= 1
    assert np.all(np.diff(result.occupancy.sum(axis=1)) <= 1e-9) or dataflow == "row stationary"


def test_the_sentence_names_the_winner_and_where_it_saves():
    explorer = DataflowExplorer(network=KWS, memory="only the buffer")
    assert explorer.status.startswith("Row stationary needs least, 10.7 pJ a MAC; against output stationary")
    assert "between elements" in explorer.status and "3% of the elements work" in explorer.status
    explorer = DataflowExplorer(network="anomalies (autoencoder)")
    assert explorer.status.startswith("All four need the same within 2%")
    assert "moves in external memory takes 94% of it, arithmetic 0.1%" in explorer.status
    rows = dict(explorer.rows(explorer.result))
    assert rows["outside, weights"] == "264 kB" and rows["work"] == "264 kMAC"


def test_the_students_function_is_drawn():
    def buffer_only(bytes_moved, pj_per_byte):
        return np.array([0, 0, bytes_moved[2].sum() * pj_per_byte[2], 0])

    usual, student = DataflowExplorer(network=KWS), DataflowExplorer(buffer_only, network=KWS)
    for dataflow in DATAFLOWS:
        assert student.result.levels[dataflow][3] == pytest.approx(usual.result.levels[dataflow][3])
        assert student.result.levels[dataflow][[1, 2, 4]].tolist() == [0, 0, 0]


def test_mistakes_become_sentences():
    def unfinished(bytes_moved, pj_per_byte):
        raise NotImplementedError("exercise 2")

    assert DataflowExplorer(unfinished).status == "unfinished is not written yet (exercise 2)."
    one_number = DataflowExplorer(lambda bytes_moved, pj_per_byte: bytes_moved.sum())
    assert one_number.status == "the energies have shape (); return one number for each of the 4 levels" and not one_number.fits
    View(one_number)


def test_energy_by_hand():
    assert energy(np.arange(12).reshape(4, 3), np.array([1, 2, 6, 200])).tolist() == [3, 24, 126, 6000]


def test_what_does_not_fit_says_so_and_comes_back():
    view = View(DataflowExplorer(network="images (ResNet-8)", memory="only the buffer", buffer=8))
    explorer = view.explorer
    assert not explorer.fits and explorer.status.startswith("Layer conv0: the layer takes 69,436 bytes, the buffer has 8,192")
    explorer.buffer = 128
    assert explorer.fits and view.picture.empty is False


def test_another_network_has_other_layers():
    explorer = DataflowExplorer(network=KWS, layer="conv0")
    explorer.network = ALEXNET
    assert explorer.layer == WHOLE and "conv5" in layers(ALEXNET)


def test_every_network_and_the_ends_of_every_slider_draw():
    view, pictures = View(DataflowExplorer()), set()
    explorer = view.explorer
    for explorer.network, (explorer.side, explorer.buffer), explorer.memory in itertools.product(
        NETWORKS, ((2, 2), (32, 512)), MEMORIES
    ):
        if explorer.fits:
            assert len(explorer.rows(explorer.result)) == 12
            pictures.add(bytes(view.image.value))
    assert len(pictures) >= 15


def test_bars_stand_end_to_end_and_the_ghost_where_they_were():
    view = View(DataflowExplorer(network=KWS))
    before = list(view.explorer.result.per_mac.values())
    view.explorer.buffer = 512
    ceiling = view.picture.ceiling
    bars = [path.vertices * [ceiling, 1] for path in view.picture.bars.get_paths()]
    assert len(bars) == len(DATAFLOWS) * (1 + len(LEVELS))
    for row, dataflow in enumerate(DATAFLOWS):
        mine = bars[row * (1 + len(LEVELS)) :][: 1 + len(LEVELS)]
        left, right = ([pick(bar[:, 0]) for bar in mine] for pick in (np.min, np.max))
        assert left == pytest.approx([0, *right[:-1]]) and right[-1] == pytest.approx(view.explorer.result.per_mac[dataflow])
        assert all(row - 0.3 < bar[:, 1].min() < bar[:, 1].max() < row + 0.3 for bar in mine)
    assert list(ceiling * view.picture.ghosts.get_xdata()) == pytest.approx(before)
    assert [text.get_text() for text in view.picture.ticks] == ["0", "25", "50", "75", "100"]


def test_an_element_that_always_works_is_blue():
    view = View(DataflowExplorer(side=2, network=ALEXNET, buffer=512, layer="conv4", dataflow="weight stationary"))
    assert view.explorer.result.movement.utilisation == 1.0
    pixels = view.picture.cells.get_array()
    assert "#" + bytes(pixels[-20, 20, :3]).hex().upper() == OURS
