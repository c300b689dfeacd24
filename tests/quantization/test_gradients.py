"""Gradients of rounding against torch's kernels, the paper's formula and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.formats import AdditivePowerOfTwo, Int, PowerOfTwo, TwoStep
from labkit.quantization.gradients import fake_quantize, lsq, pact, round_ste

grids = st.sampled_from([(-128, 127), (-127, 127), (0, 255), (-8, 7), (-2, 1)])


@settings(deadline=None, max_examples=50)
@given(grids, st.integers(0, 10_000), st.floats(0.004, 2.0))
def test_fake_quantize_is_torchs_forward_and_mask(grid, seed, scale):
    low, high = grid
    generator = torch.Generator().manual_seed(seed)
    zero_point = int(torch.randint(low, high + 1, (), generator=generator))
    x = (torch.randn(200, generator=generator) * scale * (high - low)).requires_grad_()
    grad = torch.randn(200, generator=generator)
    theirs = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, low, high)
    (by_them,) = torch.autograd.grad(theirs, x, grad)
    ours = fake_quantize(x, scale, zero_point, low, high)
    (by_us,) = torch.autograd.grad(ours, x, grad)
    # torch multiplies by 1/scale where we divide, so a number that lies on the edge between two codes may go either way
    v = x.detach().double() / scale
    clear = ((v - v.floor() - 0.5).abs() > 1e-4).numpy()
    assert clear.mean() > 0.9
    np.testing.assert_allclose(ours.detach()[clear], theirs.detach()[clear], rtol=1e-6)
    assert torch.equal(by_us[clear], by_them[clear])


def test_fake_quantize_per_channel_is_torchs():
    w = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    scale = w.abs().amax((1, 2, 3)) / 7
    theirs = torch.fake_quantize_per_channel_affine(w, scale, torch.zeros(8, dtype=torch.int32), 0, -7, 7)
    assert torch.allclose(fake_quantize(w, scale[:, None, None, None], 0, -7, 7), theirs, rtol=1e-6)


@pytest.mark.parametrize("low, high", [(-4, 3), (0, 15), (-128, 127), (-1, 1)])
def test_lsq_has_the_gradients_of_the_paper(low, high):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, generator=generator).requires_grad_()
    scale = torch.tensor(0.3 if high < 100 else 0.02, requires_grad=True)
    grad = torch.randn(1000, generator=generator)
    lsq(x, scale, lambda v: v.round().clamp(low, high), low, high, grad_scale=0.5).backward(grad)
    v = x.detach() / scale.detach()
    # Esser et al., eq. 3 and 5, written down once more
    by_scale = torch.where(v <= low, torch.tensor(float(low)), torch.where(v >= high, torch.tensor(float(high)), v.round() - v))
    assert scale.grad.item() == pytest.approx(0.5 * (by_scale * grad).sum().item(), rel=1e-4)
    assert torch.equal(x.grad, grad * ((v > low) & (v < high)))


def test_torchs_learnable_kernel_rounds_first_and_ours_saturates_first():
    """They differ where v lies in (high, high + 1/2), and nowhere else: why the docstring names the rule."""
    x = torch.tensor([3.2])
    gradients = []
    for function in (
        lambda x, s: lsq(x, s, lambda v: v.round().clamp(-4, 3), -4, 3),
        lambda x, s: torch._fake_quantize_learnable_per_tensor_affine(x, s, torch.zeros(1), -4, 3, 1.0),
    ):
        scale = torch.tensor([1.0], requires_grad=True)
        function(x, scale).sum().backward()
        gradients.append(scale.grad.item())
    assert gradients == pytest.approx([3.0, -0.2])


@pytest.mark.parametrize("format", [Int(4), PowerOfTwo(4), AdditivePowerOfTwo(4), TwoStep(4)])
def test_lsqs_scale_gradient_points_downhill_for_every_grid(format):
    """Rounding is piecewise constant, so ∂(s·code)/∂s at fixed codes is the code: LSQ's eq. 3 minus the part that moves w."""
    w = torch.randn(500, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scale = torch.tensor(0.9 * float(w.abs().max()) / format.span, dtype=torch.float64, requires_grad=True)
    error = (lsq(w, scale, format.project, format.low, format.high) - w).square().sum()
    error.backward()
    with torch.no_grad():
        step = -1e-5 * scale.grad.sign() * scale
        moved = (format.project(w / (scale + step)) * (scale + step) - w).square().sum()
    assert moved < error


def test_a_scale_for_each_row_gets_a_gradient_for_each_row():
    w = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    scales = torch.full((3, 1), 0.2, requires_grad=True)
    lsq(w, scales, Int(3).project, -3, 3).square().sum().backward()
    for row in range(3):
        alone = torch.tensor(0.2, requires_grad=True)
        lsq(w[row], alone, Int(3).project, -3, 3).square().sum().backward()
        assert scales.grad[row].item() == pytest.approx(alone.grad.item(), rel=1e-4)


def test_pact_saturates_and_learns_from_what_is_cut_off():
    x = torch.tensor([-1.0, 0.4, 1.9, 2.0, 7.0], requires_grad=True)
    alpha = torch.tensor(2.0, requires_grad=True)
    y = pact(x, alpha, 15)
    y.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0, 10000.0]))
    assert y.tolist() == pytest.approx([0.0, 0.4, 28 / 15, 2.0, 2.0])
    assert x.grad.tolist() == [0.0, 10.0, 100.0, 0.0, 0.0] and alpha.grad.item() == 11000.0
    assert torch.allclose(pact(y.detach(), alpha, 15), y)  # quantizing again changes nothing


def test_round_ste_lets_the_gradient_through():
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    y = round_ste(x)
    y.backward(torch.arange(9.0))
    assert torch.equal(y, x.detach().round()) and x.grad.tolist() == list(range(9))
