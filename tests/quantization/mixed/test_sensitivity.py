"""Sensitivity: loss increases against doing it by hand, Hutchinson's trace against the whole Hessian."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit.quantization.formats import Int, PowerOfTwo
from labkit.quantization.granularity import PerChannel, PerTensor
from labkit.quantization.mixed.sensitivity import hessian_trace, loss_increase, predicted_increase, quantized
from labkit.quantization.prepare import Scheme, prepare
from labkit.quantization.weights import WeightQuantizer

FORMATS = (0, Int(2), PowerOfTwo(4), Int(8))


def small(seed=0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)
    return nn.Sequential(*layers)


def examples(n=24, seed=1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 6, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def exact_trace(model: nn.Module, name: str, x, y) -> float:
    """The diagonal of the whole Hessian."""
    layer = model.get_submodule(name)

    def loss(w):
        return F.cross_entropy(torch.func.functional_call(model, {f"{name}.weight": w}, (x,)), y)

    hessian = torch.autograd.functional.hessian(loss, layer.weight.detach())
    n = layer.weight.numel()
    return hessian.reshape(n, n).trace().item()


@pytest.mark.parametrize("granularity", [None, PerTensor()])
def test_loss_increase_against_doing_it_by_hand(granularity):
    model, (x, y) = small(), examples()
    found = loss_increase(model, [(x[:10], y[:10]), (x[10:], y[10:])], FORMATS, granularity)  # unequal batches
    assert list(found) == ["0", "4"]
    model.eval()
    before = F.cross_entropy(model(x), y).item()
    for name, values in found.items():
        for format, value in zip(FORMATS, values, strict=True):
            changed = copy.deepcopy(model)
            weight = changed.get_submodule(name).weight
            by_hand = WeightQuantizer(format, granularity or PerChannel()) if format else torch.zeros_like
            weight.data = by_hand(weight.data)
            assert value == pytest.approx(F.cross_entropy(changed(x), y).item() - before, abs=1e-6)


def test_the_model_is_left_as_it_was():
    model = small().train()
    model[4].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    state = [(m.training, [p.requires_grad for p in m.parameters(recurse=False)]) for m in model.modules()]
    random = torch.get_rng_state()
    loss_increase(model, [examples()], FORMATS)
    hessian_trace(model, [examples()], samples=2)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert state == [(m.training, [p.requires_grad for p in m.parameters(recurse=False)]) for m in model.modules()]
    assert torch.equal(random, torch.get_rng_state()) and all(p.grad is None for p in model.parameters())


def test_weights_come_back_when_the_loss_fails():
    model, (x, y) = small(), examples()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="no number format"):
        loss_increase(model, [(x, y)], [Int(2), "int4"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_hutchinson_against_the_whole_hessian():
    model, (x, y) = small().eval(), examples()
    exact = {name: exact_trace(model, name, x, y) for name in ("0", "4")}
    found = hessian_trace(model, [(x[:10], y[:10]), (x[10:], y[10:])], samples=300)
    assert list(found) == ["0", "4"]
    for name, trace in exact.items():
        assert found[name] == pytest.approx(trace, rel=0.1)


def test_more_samples_come_closer_and_the_seed_decides():
    model, (x, y) = small().eval(), examples()
    exact = exact_trace(model, "0", x, y)
    spread = [np.std([hessian_trace(model, [(x, y)], n, seed)["0"] for seed in range(8)]) for n in (2, 64)]
    assert spread[1] < spread[0] / 2 and exact > 0
    assert hessian_trace(model, [(x, y)], 3, seed=5) == hessian_trace(model, [(x, y)], 3, seed=5)


def test_a_hessian_by_hand():
    """Two logits of one input 1: H = p(1 − p)·[[1, −1], [−1, 1]], so vᵀHv is 0 or twice the trace."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    model[0].weight.data = torch.tensor([[0.3], [-0.2]])
    batch = torch.ones(1, 1), torch.tensor([0])
    p = torch.softmax(torch.tensor([0.3, -0.2]), 0)[0].item()
    single = [hessian_trace(model, [batch], 1, seed)["0"] for seed in range(12)]
    assert set(np.round(single, 5)) == {0.0, round(4 * p * (1 - p), 5)}
    assert hessian_trace(model, [batch], 400)["0"] == pytest.approx(2 * p * (1 - p), rel=0.15)


def test_the_second_order_predicts_small_roundings():
    """At a minimum of the loss the prediction is near the measured increase, over more than a factor of ten."""
    torch.manual_seed(0)
    x = torch.randn(400, 40)
    teacher = torch.randn(3, 40) / 3
    y = torch.distributions.Categorical(logits=x @ teacher.T).sample()
    model = nn.Sequential(nn.Linear(40, 3, bias=False))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    formats = (Int(4), Int(5), Int(6))
    measured = loss_increase(model, [(x, y)], formats)["0"]
    predicted = predicted_increase(model, hessian_trace(model, [(x, y)], 200), formats)["0"]
    assert np.all(np.diff(predicted) < 0)
    assert predicted == pytest.approx(measured, rel=0.35)
    assert predicted[0] / predicted[2] == pytest.approx(measured[0] / measured[2], rel=0.5)


def test_predicted_increase_by_hand():
    model = nn.Sequential(nn.Linear(4, 2))
    w = model[0].weight.detach()
    errors = [(quantized(w, format) - w).square().sum().item() for format in FORMATS]
    found = predicted_increase(model, {"0": 16.0}, FORMATS)["0"]
    assert found == pytest.approx(np.array(errors))  # ½ · 16/8 = 1
    assert errors[0] == pytest.approx(w.square().sum().item())


def test_bad_input():
    x, y = examples()
    for sense in (lambda *a: loss_increase(*a, FORMATS), hessian_trace):
        with pytest.raises(ValueError, match="no examples"):
            sense(small(), [])
        with pytest.raises(ValueError, match="no examples"):
            sense(small(), [(x[:0], y[:0])])
        with pytest.raises(ValueError, match="nothing to quantize"):
            sense(nn.Sequential(nn.Flatten()), [(x, y)])
        with pytest.raises(ValueError, match="layer '0' are quantized already"):
            sense(prepare(small(), Scheme(activations=None)), [(x, y)])
