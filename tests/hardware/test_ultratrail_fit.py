"""UltraTrail's published networks: cycles to the cycle, and area and power of networks held out."""

import csv
import io
import json

import numpy as np
import pytest

from labkit.hardware import ultratrail_fit as fit
from labkit.hardware.catalog import FOLDER, load
from labkit.hardware.ultratrail import UltraTrail
from labkit.hardware.ultratrail_area import AREA, POWER
from labkit.hardware.ultratrail_networks import Network, from_row, networks
from labkit.hardware.validation import ultratrail
from tests.shared import rows

NETWORKS = networks()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.workload.name)
def test_cycles_of_every_published_network(network):
    """To the cycle, where the authors' count of no layer is below zero; the two others take longer than they say."""
    chip = UltraTrail.sized_for(network.workload, **network.chip)
    spent = chip.estimate(network.workload).latency_ms.mid * 250
    assert spent == pytest.approx(network.cycles, rel=1e-12) if network.cycles_hold else spent > network.cycles


def authors_cycles(network: Network) -> int:
    """Their formula as it stands: overhanging taps are subtracted for as many places as it takes, existing or not."""
    total = 0
    for layer in network.workload.layers:
        if layer.op == "conv":
            (kernel,), (stride,), (width,) = layer.kernel, layer.stride, layer.in_shape[1:]
            places, half = layer.out_shape[1], kernel // 2
            right = (places - 1) * stride + kernel - half - width
            steps = places * kernel - sum(range(half, 0, -stride)) - sum(range(right, 0, -stride))
        elif layer.op == "linear":
            steps = 1
        else:
            continue
        total += 1 + -(-layer.in_channels // network.array) * -(-layer.out_channels // network.array) * steps
    return total


def test_the_formula_as_published_gives_every_published_count():
    """Even the impossible one: −94 cycles. So it is the formula that is wrong there, not our reading of the networks."""
    assert [authors_cycles(network) for network in NETWORKS] == [network.cycles for network in NETWORKS]
    assert {network.cycles for network in NETWORKS if not network.cycles_hold} == {-94, 432}


def test_the_catalog_is_what_the_fit_gives():
    assert (FOLDER / "ultratrail_fitted.toml").read_text(encoding="utf-8") == fit.fitted_toml()


def test_the_fit_finds_what_made_the_numbers():
    """Areas and powers made from known coefficients come back."""
    area, power = np.array([0.2, 5000.0, 100.0]), np.array([0.3, 0.004, 0.1])
    made = []
    for network in NETWORKS:
        um2 = float(fit.area_features(network) @ area)
        made.append(Network(**{**vars(network), "area_um2": um2, "power_uw": float(fit.power_features(network, um2) @ power)}))
    found = fit.fit(made)
    np.testing.assert_allclose(found[0], area, rtol=1e-6)
    np.testing.assert_allclose(found[1], power, rtol=1e-6)


def test_a_bit_of_memory_is_what_the_smallest_chips_say():
    """Chips of one kind that differ in weight memory alone: 102.97 µm² for 32 words of 24 bits. The fit agrees within 4 %."""
    small = [n for n in NETWORKS if (n.array, n.weight_bits) == (2, 6)]
    bits = np.array([fit.area_features(network)[0] for network in small])
    slope, rest = np.polyfit(bits, [network.area_um2 for network in small], 1)
    np.testing.assert_allclose(slope * bits + rest, [network.area_um2 for network in small], atol=0.01)  # a straight line
    assert slope == pytest.approx(102.973 / (32 * 24), rel=1e-3)
    assert load("ultratrail_fitted")["area"]["um2_per_weight_bit"].value == pytest.approx(slope, rel=0.04)


def test_nothing_is_left_out_of_the_fit():
    """Three coefficients each, none of them zero."""
    for quantity, names in (("area", AREA), ("power", POWER)):
        assert all(load("ultratrail_fitted")[quantity][name].value > 0 for name in names)


def test_a_held_out_network_is_not_in_its_own_fit():
    """A network with an absurd area does not move its own prediction."""
    first, *others = NETWORKS
    absurd = Network(**{**vars(first), "area_um2": 10 * first.area_um2, "power_uw": 10 * first.power_uw})
    assert fit.predict(absurd, others) == fit.predict(first, others)
    np.testing.assert_allclose(fit.held_out()[0], fit.predict(first, others))


@pytest.mark.parametrize("row", ultratrail.rows(), ids=lambda row: f"{row.quantity}, {row.protocol}")
def test_the_accuracy_that_we_promise(row):
    assert row.at_most is None or row.mape <= row.at_most
    assert row.coverage80 is None or 0.7 <= row.coverage80 <= 0.9
    assert row.mape < row.baseline_mape / 5
    if row.quantity != "cycles":
        assert row.mape < {"power": 2.0, "area": 2.5}[row.quantity]


def test_estimates_are_the_fit():
    """What the device says of a chip made for a network is what the coefficients say."""
    area, power = fit.fit(NETWORKS)
    for network in NETWORKS:
        chip = UltraTrail.sized_for(network.workload, **network.chip)
        um2 = float(fit.area_features(network) @ area)
        assert chip.area_um2.mid == pytest.approx(um2, rel=1e-4)
        assert chip.power_uw(network.workload).mid == pytest.approx(float(fit.power_features(network, um2) @ power), rel=1e-4)


def test_a_row_as_a_workload():
    text = "network,task,array,weight_bits,activation_bits,cycles,power_uw,area_um2,blocks,cycles_hold\n"
    text += "toy,wwd,4,6,4,1,1,1,residual/2 3x8 5x12; forward/1 1x4,yes\n"
    workload = from_row(next(csv.DictReader(io.StringIO(text)))).workload
    shapes = [(layer.name, layer.op, layer.out_shape) for layer in workload.layers]
    assert shapes == [
        ("block0.conv0", "conv", (8, 51)), ("block0.conv1", "conv", (12, 51)), ("block0.skip", "conv", (12, 51)),
        ("block0.add", "add", (12, 51)), ("block1.conv0", "conv", (4, 51)), ("pool", "avgpool", (4, 1)),
        ("classifier", "linear", (3,)),
    ]  # fmt: skip
    assert workload["block0.add"].inputs == ("block0.conv1", "block0.skip")
    assert {layer.weight_bits for layer in workload.layers} == {6} and {layer.activation_bits for layer in workload.layers} == {4}


def test_the_table_is_the_reference_material():
    """Names, bits, figures and blocks of every distinct file; repetitions agree with the one that is kept."""
    kept = {}
    for row in rows("reference", "ultratrail_nas_models.csv"):
        blocks = "; ".join(
            f"{block['target']}/{block['stride']} " + " ".join(f"{x['kernel_size']}x{x['out_channels']}" for x in block["blocks"])
            for block in json.loads(row["arch"])
        )
        figures = (float(row["cycles"]), float(row["power_W"]) * 1e6, float(row["area_um2"]))
        first = kept.setdefault((row["task"], row["cols"], row["bw_w"], row["bw_f"], blocks), figures)
        assert first == pytest.approx(figures, rel=1e-6)
    with (FOLDER / "ultratrail_networks.csv").open(encoding="utf-8") as file:
        ours = {
            tuple(row[name] for name in ("task", "array", "weight_bits", "activation_bits", "blocks")): tuple(
                float(row[name]) for name in ("cycles", "power_uw", "area_um2")
            )
            for row in csv.DictReader(line for line in file if not line.startswith("#"))
        }
    assert ours.keys() == kept.keys()
    for key, figures in ours.items():
        assert figures == pytest.approx(kept[key], rel=1e-6)
