"""Not one output may differ from TensorFlow Lite Micro's. `python -m tests.quantization.integer.oracle_tflm` prints the counts."""

import pytest

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro is not installed: pip install 'labkit[oracles]'")
pytest.importorskip("ai_edge_litert")

from tests.quantization.integer import oracle_tflm, zoo


@pytest.mark.parametrize("kernel", oracle_tflm.KERNELS)
def test_no_output_differs(kernel):
    counted = oracle_tflm.compare(kernel, layers=100)
    print(f"{kernel}: outputs compared {counted['outputs']}, mismatches {counted['mismatches']}")
    assert counted["outputs"] >= 40_000
    assert counted["mismatches"] == 0


def test_the_boundaries_tell_the_roundings_apart():
    """If the double rounding were a single one, the comparison would say so."""
    assert oracle_tflm.compare("code boundaries", 3, "single")["mismatches"] > 100


@pytest.mark.parametrize("kernel", oracle_tflm.LITERT)
def test_the_other_roundings_are_what_litert_does(kernel):
    """XNNPACK rounds once; next to the end of a code LiteRT's own fully connected layer shows the exact rule."""
    counted = oracle_tflm.compare(kernel, 30, *oracle_tflm.LITERT[kernel])
    assert counted["outputs"] > 10_000
    assert counted["mismatches"] == 0


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_whole_network_gives_the_same_codes(name):
    """Every tensor from the first layer to the logits, each computed by TensorFlow Lite Micro from its own previous one."""
    counted = oracle_tflm.compare_network(name, inputs=4)
    print(f"{name}: tensors {counted['layers']}, codes compared {counted['outputs']}, mismatches {counted['mismatches']}")
    assert counted["outputs"] > 1000
    assert counted["mismatches"] == 0
