"""The device explorer: its numbers are the devices', what cannot run is said and never drawn."""

import itertools

import numpy as np
import pytest

import labkit
from labkit.explorers import DeviceExplorer, families
from labkit.explorers.devices import DEVICES, DS_CNN, FIXED, NETWORKS, DevicePicture
from labkit.explorers.view import View


def test_numbers_are_those_of_the_devices():
    explorer = DeviceExplorer(width=2.0, bits=4)
    workload = families.tc_resnet8(2.0).with_bits(4)
    for name in DEVICES:
        assert explorer.result.estimates[name] == labkit.device(name).estimate(workload)
    assert explorer.result.refusals == {} and set(DEVICES) <= set(labkit.devices())


def test_every_device_runs_the_network_it_starts_with():
    result = DeviceExplorer().result
    assert result.fitting == list(DEVICES) and {result.verdict(name) for name in DEVICES} == {"fits"}


def test_who_cannot_run_a_network_says_so_and_has_no_dot():
    explorer = DeviceExplorer(network=DS_CNN)
    assert "ultratrail" in explorer.result.refusals and "UltraTrail cannot run it" in explorer.status
    assert "ultratrail cannot run layer" in explorer.result.refusals["ultratrail"]
    row = list(DEVICES).index("ultratrail")
    assert np.isnan(DevicePicture.ends(explorer.result, "energy_uj", 1e-6)[row]).all()
    assert dict(explorer.rows(explorer.result))["UltraTrail"] == "–"
    assert explorer.result.verdict("ultratrail") == "cannot run it"


def test_what_does_not_fit_is_priced_and_red():
    explorer = DeviceExplorer(width=4.0)
    view = View(explorer)
    lacking = [name for name, estimate in explorer.result.estimates.items() if not estimate.fits]
    assert lacking and all(explorer.result.verdict(name).startswith("lacks ") for name in lacking)
    assert (0xD5, 0x5E, 0x00) in {tuple(pixel) for pixel in view.picture.pixels()[::2, ::2].reshape(-1, 3)}


def test_networks_of_the_benchmark_have_one_width():
    explorer = DeviceExplorer(width=2.0)
    explorer.network = FIXED[0]
    assert explorer.width == 1.0 and explorer.result.workload.macs == 12_501_632
    with pytest.raises(ValueError, match="width cannot be"):
        explorer.width = 2.0


def test_every_setting_gives_numbers():
    for network, width, bits in itertools.product(NETWORKS, (0.25, 1.0, 4.0), (8, 4, 2)):
        if network in FIXED and width != 1.0:
            continue
        result = DeviceExplorer(network=network, width=width, bits=bits).result
        assert len(result.estimates) + len(result.refusals) == len(DEVICES) and len(result.estimates) >= 5
