"""Not one code may differ from what ONNX Runtime makes of the exported file, from the input to the logits."""

import sys

import numpy as np
import pytest
import torch

from labkit.quantization.formats import AdditivePowerOfTwo, Int, PowerOfTwo
from labkit.quantization.granularity import PerTensor
from labkit.quantization.integer.kernels import average_pool
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.integer.onnx import export, session
from labkit.quantization.integer.operations import Pool
from labkit.quantization.integer.requantize import Grid
from labkit.quantization.prepare import Scheme
from labkit.workload import Workload
from tests.quantization.integer import zoo
from tests.quantization.integer.test_network import everything

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SCHEMES = [
    Scheme(granularity=PerTensor()),
    Scheme(weights=Int(4), activations=Int(4, narrow=False)),
    Scheme(weights=Int(2), activations=Int(8, signed=False)),
    Scheme(weights=PowerOfTwo(4), activations=Int(5, signed=False)),
    Scheme(weights=AdditivePowerOfTwo(4)),
]


def tensors(path, network: IntegerNetwork, x) -> dict[str, np.ndarray]:
    """The codes of every tensor in ONNX Runtime, which is asked to return them all."""
    model = onnx.load(path)
    names = [operation.name for operation in network.operations]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(f"{n}.codes", onnx.TensorProto.UINT8, None) for n in names)
    onnx.save(model, path)
    codes = session(path).run([f"{name}.codes" for name in names], {"input": np.asarray(x)})
    return {name: c.astype(np.int64) - network.grids[name].unsigned_shift for name, c in zip(names, codes, strict=True)}


def compare(network: IntegerNetwork, x, path) -> int:
    """Asserts that nothing differs; the number of codes compared."""
    export(network, path)
    logits = session(path).run(["logits"], {"input": np.asarray(x)})[0]
    assert np.array_equal(logits, network.logits(x, rounding="onnx"))
    ours, theirs = network.tensors(x, rounding="onnx"), tensors(path, network, x)
    for name, codes in theirs.items():
        assert np.array_equal(codes, ours[name]), f"{name}: {(codes != ours[name]).sum()} of {codes.size} codes differ"
    return sum(codes.size for codes in theirs.values())


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_zoo_in_onnx_runtime(name, tmp_path):
    _, network, x = zoo.quantized(name)
    print(f"{name}: codes compared {compare(network, x[:8], tmp_path / 'model.onnx'):,}, mismatches 0")


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_any_scheme_in_onnx_runtime(scheme, tmp_path):
    _, network, x = zoo.quantized("har-cnn", scheme)
    compare(network, x, tmp_path / "model.onnx")


@pytest.mark.parametrize("scheme", [Scheme(), Scheme(activations=Int(6, signed=False))], ids=repr)
def test_an_unusual_network_in_onnx_runtime(scheme, tmp_path):
    _, network, x = everything(scheme)
    compare(network, x, tmp_path / "model.onnx")


@pytest.mark.parametrize("kernel", [(2, 2), (3, 4), (8, 8), (1, 6)])
@pytest.mark.parametrize("zero_point", [-128, 3])
def test_averages_round_as_onnx_runtime(kernel, zero_point, tmp_path):
    """Of even counts many averages lie at a half: the places where the rules differ."""
    rng = np.random.default_rng(0)
    grid, shape = Grid(float(rng.uniform(0.01, 0.1)), zero_point, -128, 127), (4, 8, 8)
    operation = Pool("pool", ("input",), grid, True, kernel, kernel, ((0, 0), (0, 0)))
    network = IntegerNetwork(grid, shape, (operation,), Workload("pool", shape, ()))
    compare(network, grid.dequantize(rng.integers(-128, 128, (16, *shape))), tmp_path / "pool.onnx")


def test_the_rule_for_averages_is_one_of_its_own():
    x = np.random.default_rng(0).integers(-128, 128, (16, 4, 8, 8))
    grid = Grid(0.0371, 3, -128, 127)
    assert (average_pool(x, grid, (2, 2), rounding="onnx") != average_pool(x, grid, (2, 2), rounding="exact")).any()


def test_another_rounding_would_be_noticed(tmp_path):
    _, network, x = zoo.quantized("har-cnn")
    theirs = session(export(network, tmp_path / "model.onnx")).run(["logits"], {"input": x.numpy()})[0]
    assert not np.array_equal(theirs, network.logits(x, rounding="tflite"))


def test_the_file_is_integers_between_quantize_and_dequantize(tmp_path):
    _, network, _ = zoo.quantized("ds-cnn", Scheme(weights=Int(4)))
    model = onnx.load(export(network, tmp_path / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds == {"QuantizeLinear", "DequantizeLinear", "Conv", "AveragePool", "Reshape", "Gemm"}
    weights = [onnx.numpy_helper.to_array(c) for c in model.graph.initializer if c.name.endswith(".weight")]
    assert {w.dtype for w in weights} == {np.dtype(np.int8)} and max(np.abs(w).max() for w in weights) == 7
    assert (tmp_path / "model.onnx").stat().st_size < 60_000  # 22 kB of weights, 5 kB of scales and biases, names


@pytest.mark.parametrize(
    ("scheme", "sentence"),
    [
        (Scheme(weights=Int(10)), "weight codes of 'features.0.0' need more than 8 bits"),
        (Scheme(activations=Int(12, narrow=False)), "need more than 8 bits"),
    ],
)
def test_codes_wider_than_int8_are_refused(scheme, sentence, tmp_path):
    _, network, _ = zoo.quantized("har-cnn", scheme)
    with pytest.raises(ValueError, match=sentence):
        export(network, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    _, network, _ = zoo.quantized("har-cnn")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="needs the onnx package; run: pip install onnx"):
        export(network, tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs the onnxruntime package"):
        session(tmp_path / "model.onnx")


def test_numbers_are_quantized_as_torch_and_onnx_runtime_do():
    """Halves of a step, where rules part: division in float32, a half to the even code."""
    grid = Grid(0.1, 3, -128, 127)
    x = (np.arange(-100, 100, dtype=np.float32) + np.float32(0.5)) * np.float32(0.1)
    theirs = torch.clamp(torch.round(torch.from_numpy(x) / torch.tensor(0.1)) + 3, -128, 127)
    assert np.array_equal(grid.quantize(x), theirs.numpy())
