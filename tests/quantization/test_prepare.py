"""`prepare`, `calibrate`, folding: on the networks of the zoo, and on what cannot be quantized."""

import copy

import pytest
import torch
from torch import nn

from labkit import models, trace
from labkit.quantization import activations, weights
from labkit.quantization.folding import fold_batch_norms, fold_into_scales
from labkit.quantization.formats import Int, PowerOfTwo
from labkit.quantization.granularity import PerGroup, PerTensor
from labkit.quantization.observers import OBSERVERS
from labkit.quantization.prepare import Scheme, bake, calibrate, codes, prepare, weight_quantizers

ZOO = ["ds-cnn", "tc-resnet8", "har-cnn", "resnet8", "autoencoder"]


def lively(name):
    """A network of the zoo whose norms do something, and inputs."""
    model, example = models.build(name)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    return model, torch.randn(16, *example.shape[1:], generator=generator)


@pytest.mark.parametrize("name", ZOO)
def test_folding_changes_nothing_but_the_norms(name):
    model, x = lively(name)
    folded = fold_batch_norms(model)
    assert torch.allclose(folded(x), model(x), atol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules())
    assert trace(folded, x[:1]).macs == trace(model, x[:1]).macs and trace(folded, x[:1]).params == trace(model, x[:1]).params


def test_a_norm_behind_a_branch_stays():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    assert isinstance(fold_batch_norms(Branch()).norm, nn.BatchNorm1d)


class TwoRuns(nn.Module):
    """One convolution that runs twice, each time with a norm: the same one, or one of its own."""

    def __init__(self, own: bool):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3)
        self.other = nn.BatchNorm1d(3) if own else self.norm

    def forward(self, x):
        return self.other(self.conv(torch.relu(self.norm(self.conv(x)))))


@pytest.mark.parametrize("own", [True, False])
def test_a_layer_that_runs_twice_keeps_its_norms(own):
    model, x = TwoRuns(own), torch.randn(8, 3, 5)
    for norm in (model.norm, model.other):
        norm.running_mean.fill_(0.5), norm.running_var.fill_(3.0)
    assert torch.allclose(fold_batch_norms(model)(x), model.eval()(x), atol=1e-5)


def test_a_norm_without_statistics_stays():
    model, x = nn.Sequential(nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3, track_running_stats=False)).eval(), torch.randn(8, 3, 5)
    assert torch.equal(fold_batch_norms(model)(x), model(x))


def test_a_quantized_network_is_neither_folded_nor_prepared_again():
    model, x = lively("har-cnn")
    for scheme in (Scheme(), Scheme(weights=None), Scheme(activations=None)):
        prepared = prepare(model, scheme)
        calibrate(prepared, x)
        with pytest.raises(ValueError, match="quantized already"):
            prepare(prepared, Scheme(weights=Int(2)))
    with pytest.raises(ValueError, match="fold_into_scales"):
        fold_batch_norms(prepare(model, Scheme(fold=False)))


@pytest.mark.parametrize("activations", [None, Int(8, narrow=False)])
def test_a_layer_that_we_do_not_know_is_refused_and_a_single_layer_is_a_network(activations):
    for unknown in (nn.ConvTranspose1d(4, 4, 3), nn.LSTM(4, 4)):
        with pytest.raises(ValueError, match="cannot read module '0'"):
            prepare(nn.Sequential(unknown), Scheme(activations=activations))
    prepared = prepare(nn.Linear(3, 2), Scheme(weights=Int(2), activations=activations))
    assert [layer.weight_bits for layer, _ in weight_quantizers(prepared).values()] == [2]


@pytest.mark.parametrize("name", ZOO)
def test_eight_bits_hardly_change_a_network(name):
    model, x = lively(name)
    before = copy.deepcopy(model.state_dict())
    prepared = prepare(model, Scheme())
    calibrate(prepared, x)
    wanted = model(x)
    assert (prepared(x) - wanted).abs().mean() < 0.02 * wanted.abs().max()
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items()), "prepare works on a copy"


def test_fewer_bits_make_larger_errors():
    model, x = lively("har-cnn")
    errors = []
    for bits in (8, 6, 4, 3, 2):
        prepared = prepare(model, Scheme(weights=Int(bits), activations=None))
        errors.append((prepared(x) - model(x)).square().mean().item())
    assert errors == sorted(errors) and errors[-1] > 10 * errors[0]


@pytest.mark.parametrize("name", ZOO)
def test_the_workload_has_the_widths_of_the_scheme(name):
    model, x = lively(name)
    prepared = prepare(model, Scheme(weights=Int(4), activations=Int(6, narrow=False), edges=Int(8)))
    calibrate(prepared, x)
    workload = trace(prepared, x[:1])
    weighted = [layer for layer in workload.layers if layer.weights_per_channel]
    assert [layer.weight_bits for layer in weighted] == [8] + [4] * (len(weighted) - 2) + [8]
    assert workload.input_bits == 8 and weighted[-1].activation_bits == 8
    assert {layer.activation_bits for layer in workload.layers[:-1] if layer.op != "maxpool"} <= {6, 8}
    assert workload.macs == trace(model, x[:1]).macs


def test_a_layer_stays_what_it_is_and_its_weights_are_scale_times_code():
    prepared = prepare(models.build("ds-cnn")[0], Scheme(weights=PowerOfTwo(4), activations=None))
    for layer, quantizer in weight_quantizers(prepared).values():
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        original = layer.parametrizations.weight.original
        rebuilt = codes(layer).float().flatten(1) * quantizer.scale(original)
        assert torch.allclose(rebuilt.reshape(layer.weight.shape), layer.weight, rtol=1e-6)
        assert set(codes(layer).unique().tolist()) <= set(PowerOfTwo(4).levels.tolist())


def test_baking_keeps_the_function_and_the_original():
    model, x = lively("har-cnn")
    prepared = prepare(model, Scheme(weights=Int(3), activations=None))
    wanted = prepared(x)
    baked = bake(prepared)
    assert torch.equal(baked(x), wanted) and torch.equal(prepared(x), wanted) and not weight_quantizers(baked)


def test_gradients_reach_weights_scales_and_activation_scales():
    model, x = lively("har-cnn")
    prepared = prepare(model, Scheme(weights=Int(3), weight_scale="lsq", activation_scale="lsq"))
    calibrate(prepared, x)
    prepared(x).square().sum().backward()
    without = [name for name, p in prepared.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("scale", ["max", "mse", "lsq"])
def test_norms_fold_into_scales_with_the_codes_unchanged(scale):
    model, x = lively("ds-cnn")
    prepared = prepare(model, Scheme(weights=Int(3), weight_scale=scale, fold=False))
    calibrate(prepared, x)
    folded = fold_into_scales(prepared)
    assert torch.allclose(folded(x), prepared(x), atol=1e-4)
    before, after = weight_quantizers(prepared), weight_quantizers(folded)
    assert all(torch.equal(codes(before[name][0]), codes(after[name][0])) for name in before)


def test_folding_into_scales_says_when_it_cannot():
    model, _ = lively("har-cnn")
    for scheme, word in (
        (Scheme(granularity=PerTensor(), activations=None, fold=False), "scale for each channel"),
        (Scheme(weight_scale="dorefa", activations=None, fold=False), "tanh"),
    ):
        with pytest.raises(ValueError, match=word):
            fold_into_scales(prepare(model, scheme))
    prepared = prepare(model, Scheme(weights=Int(4, narrow=False), activations=None, fold=False))
    next(m for m in prepared.modules() if isinstance(m, nn.BatchNorm1d)).weight.data[0] = -1
    with pytest.raises(ValueError, match="negative gain"):
        fold_into_scales(prepared)


def test_what_is_beyond_the_calibrated_range_saturates():
    prepared = prepare(nn.Sequential(nn.Conv1d(1, 1, 1)), Scheme(weights=None))
    calibrate(prepared, torch.linspace(-1, 1, 64).reshape(1, 1, 64))
    edge, beyond = prepared(torch.full((1, 1, 1), 1.0)), prepared(torch.full((1, 1, 1), 1e6))
    assert torch.equal(edge, beyond)


def test_a_constant_or_silent_calibration_set_works():
    for value in (0.0, 0.5, -3.0):
        prepared = prepare(models.build("har-cnn")[0], Scheme())
        calibrate(prepared, torch.full((4, 6, 128), value))
        assert torch.isfinite(prepared(torch.full((1, 6, 128), value))).all()


@pytest.mark.parametrize("observer", OBSERVERS)
def test_a_second_calibration_starts_anew(observer):
    model, x = lively("har-cnn")
    once, twice = (prepare(model, Scheme(observer=observer)) for _ in range(2))
    calibrate(twice, 100 * x)
    for prepared in (once, twice):
        calibrate(prepared, x)
    assert torch.equal(once(x), twice(x))


@pytest.mark.parametrize(("batches", "word"), [([], "one batch"), (torch.full((1, 6, 128), float("nan")), "NaN")])
def test_a_calibration_that_fails_leaves_a_network_that_quantizes(batches, word):
    model, x = lively("har-cnn")
    prepared = prepare(model, Scheme())
    with pytest.raises(ValueError, match=word):
        calibrate(prepared, batches)
    with pytest.raises(RuntimeError, match="calibrate"):
        prepared(x)
    calibrate(prepared, x)
    before = prepared(x)
    with pytest.raises(ValueError, match=word):
        calibrate(prepared, batches)
    assert torch.equal(prepared(x), before)


@pytest.mark.parametrize("weight_scale", weights.SCALES)
@pytest.mark.parametrize("activation_scale", activations.SCALES)
def test_the_state_of_one_network_makes_another_the_same(weight_scale, activation_scale):
    scheme = Scheme(Int(4), weight_scale=weight_scale, activation_scale=activation_scale)
    model, x = lively("har-cnn")
    prepared, other = prepare(model, scheme), prepare(models.build("har-cnn", seed=1)[0], scheme)
    calibrate(prepared, x)
    other.load_state_dict(prepared.state_dict())  # it needs no calibration of its own
    assert torch.equal(other(x), prepared(x)) and torch.equal(copy.deepcopy(prepared)(x), prepared(x))


def test_dropout_drops_while_training_only():
    prepared, x = prepare(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(15, 2)), Scheme()), torch.randn(8, 3, 5)
    calibrate(prepared, x)
    assert torch.equal(prepared(x), prepared(x))
    prepared.train()
    assert not torch.equal(prepared(x), prepared(x))


@pytest.mark.parametrize("granularity", [PerTensor(), PerGroup(8)])
def test_other_granularities_run(granularity):
    model, x = lively("har-cnn")
    assert torch.isfinite(prepare(model, Scheme(weights=Int(4), granularity=granularity, activations=None))(x)).all()


def test_bad_input_gets_one_sentence():
    net = models.build("har-cnn")[0]
    for bits in (0, 33, -1, 2.5, "8"):
        with pytest.raises(ValueError, match="give a whole number"):
            Int(bits)
    broken = copy.deepcopy(net)
    broken.classifier.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="'classifier' has NaN"):
        prepare(broken, Scheme())
    shared = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    shared[1].weight = shared[0].weight
    with pytest.raises(ValueError, match="shares its weights"):
        prepare(shared, Scheme())
    with pytest.raises(ValueError, match=r"cannot read module '0' \(LSTM\)"):
        prepare(nn.Sequential(nn.LSTM(4, 4)), Scheme())
    with pytest.raises(ValueError, match="at least one batch"):
        calibrate(prepare(net, Scheme()), [])
    with pytest.raises(RuntimeError, match="calibrate"):
        prepare(net, Scheme())(torch.zeros(1, 6, 128))
    with pytest.raises(ValueError, match="NaN or infinity"):
        calibrate(prepare(net, Scheme()), torch.full((1, 6, 128), float("nan")))
    for options in ({"weight_scale": "lqs"}, {"activation_scale": "pcat"}, {"observer": "minmx"}):
        with pytest.raises(ValueError, match="did you mean"):
            Scheme(**options)
    with pytest.raises(ValueError, match="give a Format"):
        Scheme(weights=4)


def test_a_module_called_twice_is_quantized_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 3, 1)

        def forward(self, x):
            return self.conv(self.conv(x))

    prepared = prepare(Twice(), Scheme(weights=Int(4)))
    calibrate(prepared, torch.randn(4, 3, 5))
    assert len(weight_quantizers(prepared)["conv"][0].parametrizations.weight) == 1


def test_a_pool_keeps_the_scale_of_what_it_pools():
    prepared = prepare(models.build("har-cnn")[0], Scheme())
    calls = [node.target for node in prepared.graph.nodes if str(node.target).startswith("quantize_")]
    assert len(calls) == len(set(calls)) + 1
