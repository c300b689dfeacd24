"""Every number of the catalog has a source; the fitted ones can be fitted again."""

import tomllib

import pytest

from labkit.hardware import catalog, cortex_m, cortex_m_refit
from labkit.hardware.catalog import Quantity
from labkit.hardware.measurements import BENCHMARKS, systems
from labkit.hardware.reference import NAMES, reference
from tests.shared import rows

FILES = sorted(path.stem for path in catalog.FOLDER.glob("*.toml"))


def quantities(node):
    if isinstance(node, Quantity):
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from quantities(child)


def bare_numbers(node, path=""):
    if isinstance(node, (int, float)):
        yield path
    elif isinstance(node, (dict, list)):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from bare_numbers(child, f"{path}.{key}")


@pytest.mark.parametrize("name", FILES)
def test_every_number_has_a_source(name):
    data = catalog.load(name)
    assert list(bare_numbers(data)) == []
    for quantity in quantities(data):
        assert quantity.source and quantity.kind in catalog.KINDS


def test_unknown_keys_are_errors():
    with pytest.raises(ValueError, match="unknown key 'sorce'"):
        catalog.record(Quantity, {"value": 1, "unit": "ms", "sorce": "x", "kind": "assumed"}, "here")
    with pytest.raises(ValueError, match="missing"):
        catalog.record(Quantity, {"value": 1}, "here")


def test_refitting_reproduces_the_shipped_coefficients():
    shipped, again = catalog.load("cortex_m_fitted"), tomllib.loads(cortex_m_refit.fitted_toml())
    assert list(again) == list(shipped) == ["fits", "spreads"]
    for kind in shipped:
        assert len(shipped[kind]) == len(again[kind])
        for old, new in zip(shipped[kind], again[kind], strict=True):
            assert list(old) == list(new)
            for key, value in old.items():
                if isinstance(value, Quantity):
                    assert new[key]["value"] == pytest.approx(value.value, rel=1e-3) and new[key]["source"] == value.source
                else:
                    assert new[key] == value


def test_every_board_and_stack_of_the_table_is_in_the_catalog():
    for system in systems():
        assert cortex_m.boards()[system.board].core == system.core
        assert cortex_m.boards()[system.board].clock_mhz.value == system.clock_mhz
        assert system.stack in cortex_m.stacks()


@pytest.mark.parametrize("name", NAMES)
def test_reference_networks_have_the_counts_of_their_files(name):
    expected = {  # MACs, parameters, bytes of weights, peak activations of the int8 TFLite files
        "ad": (264_192, 265_864, 270_880, 768),
        "ic": (12_501_632, 77_706, 78_744, 49_152),
        "kws": (2_656_768, 22_604, 24_368, 16_000),
        "vww": (7_489_664, 210_850, 219_064, 55_296),
        "sww": (826_368, 46_883, 49_412, 6_656),
    }
    w = reference(name)
    assert (w.macs, w.params, w.weight_bytes, w.peak_activation_bytes) == expected[name]


def test_half_of_vww_is_dead():
    assert reference("vww").live_macs == pytest.approx(3.742e6, rel=1e-3)


def test_the_shipped_measurements_are_the_published_ones():
    published = {
        (r["round"], r["submitter"], r["system"], r["benchmark"]): r
        for r in rows("reference", "mlperf_tiny.csv")
        if r["division"] == "closed"
    }
    shipped = catalog.read_csv("mlperf_tiny")
    assert len(shipped) == len(BENCHMARKS) * len(systems())
    for row in shipped:
        key = (row["round"], row["submitter"], row["system"].removeprefix(f"{row['submitter']}/"), row["benchmark"])
        matches = [r for k, r in published.items() if (k[0], k[1], k[3]) == (key[0], key[1], key[3]) and k[2].endswith(key[2])]
        assert any(float(r["latency_ms"]) == pytest.approx(float(row["latency_ms"]), rel=1e-4) for r in matches)


def test_the_shipped_layers_are_the_published_ones():
    for name in NAMES:
        published = [r for r in rows("reference", "reference_layers.csv") if r["model"] == name and r["op"] != "RESHAPE"]
        layers = reference(name).layers
        assert [int(r["macs"]) for r in published] == [layer.macs for layer in layers]
        assert [int(r["params"]) for r in published] == [layer.params for layer in layers]
        assert [int(r["out_bytes"]) for r in published] == [layer.out_bytes for layer in layers]
