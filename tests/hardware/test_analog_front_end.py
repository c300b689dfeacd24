"""The energy shares of arXiv:2201.03386: what the abstract prints comes out, and what it cannot mean is refused."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import features
from labkit.hardware import analog_front_end, catalog, device, popcount
from labkit.hardware.analog_front_end import Shares, front_end_gain_for, network_gain_between
from labkit.hardware.reference import reference
from labkit.workload import Layer, Workload

PUBLISHED = catalog.load("analog_front_end")["published"]
shares, gains = st.floats(0.01, 0.99), st.floats(0.1, 1000)


def test_every_published_number_has_a_source_and_none_is_used_without_it():
    assert all(number.kind == "published" and "arXiv:2201.03386" in number.source for number in PUBLISHED.values())
    assert all(number.kind == "assumed" and number.source for number in catalog.load("popcount")["kernel"].values())


def test_the_published_figures_fit_together():
    setting = analog_front_end.published()
    assert (setting.share_before, setting.front_end_gain, setting.network_gain) == (0.85, 29, 1)
    assert setting.share_after == pytest.approx(0.1635, abs=5e-5)
    assert round(setting.share_after, 2) == PUBLISHED["share_after"].value
    assert setting.system_gain == pytest.approx(1 / (0.15 + 0.85 / 29)) and round(setting.system_gain, 1) == 5.6


def test_the_16_per_cent_belong_to_an_unchanged_network():
    """Any share that rounds to 16 % puts the network's factor between 0.94 and 1.01."""
    ends = [network_gain_between(0.85, share, 29) for share in (0.155, 0.165)]
    assert ends == pytest.approx([0.939, 1.011], abs=1e-3)


def test_what_71x_can_and_cannot_be():
    gain = PUBLISHED["frugal_gain"].value
    assert analog_front_end.published().ceiling == pytest.approx(6.67, abs=0.01)
    with pytest.raises(ValueError, match=r"no front end gives 71x: the ceiling is 6\.67x"):
        front_end_gain_for(gain)
    free_network = Shares(network_gain=math.inf)
    assert free_network.system_gain == pytest.approx(34.1, abs=0.05) and free_network.share_after == 1
    assert front_end_gain_for(gain, network_gain=math.inf) == pytest.approx(0.85 * 71)  # twice the published 29 and more
    assert Shares(network_gain=gain).system_gain == pytest.approx(31.8, abs=0.05)  # if it is the network's energy alone
    assert Shares().system_gain != pytest.approx(PUBLISHED["gain_over_others"].value, rel=0.2)  # 4.3x compares with others


@given(shares, gains, gains)
def test_the_algebra_read_both_ways(share, front_end_gain, network_gain):
    setting = Shares(share, front_end_gain, network_gain)
    assert setting.system_gain * (setting.front_end_after + setting.network_after) == pytest.approx(1)
    assert setting.system_gain <= setting.ceiling * (1 + 1e-9)
    assert network_gain_between(share, setting.share_after, front_end_gain) == pytest.approx(network_gain)
    if setting.front_end_after > 1e-3:
        assert front_end_gain_for(setting.system_gain, share, network_gain) == pytest.approx(front_end_gain, rel=1e-4)


def test_the_ends_of_the_sliders():
    assert Shares(1.0, 29).system_gain == pytest.approx(29) and Shares(1.0, 29).ceiling == math.inf
    assert Shares(0.0, 29).system_gain == 1 and Shares(0.0, 29).share_after == 0
    assert Shares(0.85, math.inf, math.inf).system_gain == math.inf
    for wrong in ({"share_before": 1.5}, {"share_before": math.nan}, {"front_end_gain": 0}, {"network_gain": -1}):
        with pytest.raises(ValueError, match="give a"):
            Shares(**wrong)


def test_our_own_budget_of_a_cortex_m4():
    """Microphone and MFCC against DS-CNN: about half, not 85 %. The front end dominates only once the network is cheap."""
    board = device("nucleo-l4r5zi")
    ours = analog_front_end.budget(board, features.workload(), reference("kws"))
    assert ours.acquisition_uj.mid == 1100
    assert ours.preprocessing_uj == board.estimate(features.workload()).energy_uj
    assert ours.network_uj == board.estimate(reference("kws")).energy_uj
    assert 0.25 < ours.front_end_share.low < 0.5 < ours.front_end_share.high < 0.8
    assert ours.front_end_share.mid * ours.total_uj.mid == pytest.approx(ours.acquisition_uj.mid + ours.preprocessing_uj.mid)
    assert any("microphone" in sentence for sentence in ours.provenance)
    quiet = analog_front_end.budget(board, features.workload(), reference("kws"), microphone="microphone-low-power")
    assert quiet.front_end_share.mid < ours.front_end_share.mid


@pytest.fixture
def tiny():
    return Workload(
        "tiny",
        (2, 12, 12),
        (
            Layer("first", "conv", ("input",), (2, 12, 12), (64, 10, 10), kernel=(3, 3), activation_bits=1),
            Layer("second", "conv", ("first",), (64, 10, 10), (64, 8, 8), kernel=(3, 3), weight_bits=1, activation_bits=1),
            Layer("fc", "linear", ("second",), (4096,), (12,)),
        ),
        input_bits=1,
    )


def test_binary_layers_are_priced_as_popcounts(tiny):
    board = device("nucleo-l4r5zi")
    whole, binary = board.estimate(tiny), popcount.estimate(board, tiny)
    cycles = 64 * 64 * (18 * 16 + 12)  # 576 signs are 18 words
    assert binary.layers[1].latency_ms == pytest.approx(cycles / 120e3)
    assert binary.layers[1].latency_ms < whole.layers[1].latency_ms / 2
    assert binary.layers[0] == whole.layers[0] and binary.layers[2] == whole.layers[2]
    assert binary.latency_ms.mid == pytest.approx(sum(cost.latency_ms for cost in binary.layers))
    assert binary.energy_uj.mid == pytest.approx(sum(cost.energy_uj for cost in binary.layers))
    assert binary.flash_bytes == whole.flash_bytes and binary.ram_bytes == whole.ram_bytes


def test_a_budget_with_a_binary_network(tiny):
    board = device("nucleo-l4r5zi")
    ours = analog_front_end.budget(board, features.workload(), tiny)
    assert ours.network_uj == popcount.estimate(board, tiny).energy_uj


def test_a_network_without_binary_layers_is_one_sentence():
    with pytest.raises(ValueError, match="no layer with weights and inputs of 1 bit"):
        popcount.estimate(device("nucleo-l4r5zi"), reference("kws"))


def test_binary_weights_on_wider_activations_are_no_popcounts(tiny):
    wide = dataclasses.replace(tiny, layers=tuple(dataclasses.replace(layer, activation_bits=8) for layer in tiny.layers))
    assert popcount.binary_layers(tiny) - popcount.binary_layers(wide) == {"second"}
