# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3 (ipykernel)
# ---

# %% [markdown] cell="intro"
# # 04 · Uniform quantization
#
# **Goal.** Replace the 32-bit numbers of a trained network by integers of 8, 4 or 2 bits, train it where that breaks it, and run
# it without a single floating-point number.
#
# **Time.** 45 minutes. **You need** lab 02 (the watch and its network); lab 03 helps.

# %% cell="setup"
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion
from labkit.quantization import Int, PerChannel, PerTensor, Scheme, calibrate, prepare
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.integer import onnx
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import quantize_weight
from labkit.recipes import quantization as bench
from labkit.training import Recipe, fit, predict

style.use()
torch.set_num_threads(1)  # a network this small gains nothing from a second thread

# %% [markdown] cell="network-text"
# ## The patient
# The activity network of lab 02, trained on real recordings of seven people with a watch. Subjects 8 to 10 are the test: it never
# met them. A model card says what its input must look like; `card.prepare` does it.

# %% cell="network"
model, card = models.pretrained("har-cnn", "watch")
data = motion.load("watch")
people, strangers = data.only(data.split != "test"), data.part("test")
learn_x, learn_y = card.prepare(people.x), torch.from_numpy(people.y)
test_x, test_y = card.prepare(strangers.x), torch.from_numpy(strangers.y)


def accuracy(network):
    return (predict(network, test_x) == test_y).float().mean().item()


print(f"{accuracy(model):.1%} of {len(test_y):,} windows of three strangers")

# %% [markdown] cell="predict-bits-text"
# ## Predict first
# Each of its 9,824 weights is a float of 32 bits. We will round them all, each output channel to a grid of its own, without any
# training. Three people are a small test, so we call a loss of up to two points noise.

# %% cell="predict-bits-card"
fewest = Prediction(
    "04-bits",
    "How few bits can a weight have before the network loses more than two points?",
    options=["8", "6", "4", "3", "2"],
)
fewest

# %% [markdown] cell="ruler-text"
# ## Exercise 1 · A ruler with few marks
# A *code* is a whole number that stands for a real one: x ≈ scale · (code − zero point) (Jacob et al., arXiv:1712.05877). The
# scale is the distance of two marks, the zero point the code of 0. By hand, with scale 0.5, zero point −1 and codes −4 to 3: the
# number 0.6 is 1.2 steps, rounded 1, plus −1: code 0. And 9 lies beyond the last mark: it *saturates* at 3.


# %% cell="ex1-answer" role="answer" exercise="1" hides="quantization.affine quantization.integer.requantize.Grid"
def quantize(x, scale, zero_point, low, high):
    """The codes of the numbers x: nearest mark, shifted by the zero point, never outside low..high.

    x             : array of any shape
    scale         : distance of two marks: a number, or an array that broadcasts against x
    zero_point    : the code of 0
    low, high     : smallest and largest code

    Example: quantize([0.6, 9], 0.5, -1, -4, 3) is [0, 3]. Hint: np.round, np.clip. Their order matters.
    """
    # BEGIN SOLUTION
    return np.clip(np.round(np.asarray(x) / scale) + zero_point, low, high)
    # END SOLUTION


def dequantize(codes, scale, zero_point):
    """What the codes stand for. Example: dequantize([0, 3], 0.5, -1) is [0.5, 2.0]."""
    # BEGIN SOLUTION
    return (np.asarray(codes) - zero_point) * scale
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
six = np.array([-2, -0.3, 0, 0.6, 1.2, 9])
check.close(
    "1", lambda: quantize(six, 0.5, -1, -4, 3), [-4, -2, -1, 0, 1, 3], title="codes of six numbers"
)
check.close(
    "1",
    lambda: dequantize([-4, -2, -1, 0, 1, 3], 0.5, -1),
    [-1.5, -0.5, 0, 0.5, 1, 2],
    title="and back",
)
inside = np.linspace(-1.5, 2, 99)
check.true(
    "1",
    lambda: np.abs(dequantize(quantize(inside, 0.5, -1, -4, 3), 0.5, -1) - inside) <= 0.2501,
    "inside the ruler no number moves by more than half a step",
)

# %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-6
check.value(
    [
        np.asarray(quantize(np.linspace(-40, 40, 23), 0.3, zero, -128, 127)).tolist()
        for zero in (0, 5, -100, 127)
    ]
)

# %% cell="ex1-check-back" role="check" exercise="1" points=1 rtol=1e-6
check.value(dequantize(np.arange(-8, 8).reshape(4, 4), 0.37, 3))


# %% cell="ex1-wrong-wrap" role="wrong" exercise="1"
# why: wraps around instead of saturating, as a cast to int8 does
def quantize(x, scale, zero_point, low, high):
    return (np.round(np.asarray(x) / scale) + zero_point - low) % (high - low + 1) + low


# %% cell="ex1-wrong-zero" role="wrong" exercise="1"
# why: forgets the zero point
def quantize(x, scale, zero_point, low, high):
    return np.clip(np.round(np.asarray(x) / scale), low, high)


# %% cell="ex1-wrong-floor" role="wrong" exercise="1"
# why: rounds down, so that every number loses half a step on average
def quantize(x, scale, zero_point, low, high):
    return np.clip(np.floor(np.asarray(x) / scale) + zero_point, low, high)


# %% cell="ex1-wrong-order" role="wrong" exercise="1"
# why: clips before it adds the zero point, so that codes leave low..high
def quantize(x, scale, zero_point, low, high):
    return np.clip(np.round(np.asarray(x) / scale), low, high) + zero_point


# %% cell="ex1-wrong-back" role="wrong" exercise="1"
# why: adds the zero point on the way back
def dequantize(codes, scale, zero_point):
    return (np.asarray(codes) + zero_point) * scale


# %% [markdown] cell="staircase-text"
# Your two functions in a row: what is left of a number after it was a code. Between the ends the error is at most half a step
# (*rounding*); beyond them it grows without limit (*clipping*). All of quantization trades one against the other.

# %% cell="staircase"
x = np.linspace(-3, 3, 601)
with check.needs("1"):
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
    for bits, color in ((2, style.OTHER), (3, style.OURS)):
        low, high, scale = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 4 / 2**bits
        back = dequantize(quantize(x, scale, 0, low, high), scale, 0)
        left.plot(x, back, color=color, label=f"{bits} bits")
        right.plot(x, back - x, color=color)
    left.plot(x, x, color=style.GHOST, lw=1)
    left.set(xlabel="x", title="a number after quantization")
    right.set(xlabel="x", title="its error")
    left.legend()

# %% [markdown] cell="range-text"
# ## Exercise 2 · Where the ruler begins and ends
# The numbers that occur are the range. 2^b codes have 2^b − 1 steps between them. The range must contain 0, if need be by
# widening: zeros are everywhere in a network (padding, ReLU) and must be exact. By hand, −1 to 2 with 2 bits, codes −2 to 1:
# three steps, so the scale is 1; −1 gets code −2, so 0 gets code −1.


# %% cell="ex2-answer" role="answer" exercise="2" hides="quantization.affine.qparams"
def scale_and_zero_point(low, high, bits):
    """Scale and zero point that spread the range low..high over the codes -2^(bits-1) .. 2^(bits-1) - 1.

    low, high : smallest and largest real number; the range is widened so that it contains 0
    returns   : (scale, zero_point); the zero point is a whole number

    Examples: scale_and_zero_point(-1, 2, 2) is (1, -1), and scale_and_zero_point(0.5, 3, 2) is (1, -2).
    Hint: the real number `low` gets the smallest code. How many steps further is 0?
    """
    # BEGIN SOLUTION
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-(2 ** (bits - 1)) - low / scale)
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
cases = [(-1, 2, 2), (0.5, 3, 2), (-3, -1, 2), (0, 25.5, 8)]
check.close(
    "2",
    lambda: [scale_and_zero_point(*case) for case in cases],
    [[1, -1], [1, -2], [1, 1], [0.1, -128]],
    title="−1 to 2 · 0.5 to 3 and −3 to −1, both widened · 0 to 25.5 with 8 bits",
)

# %% cell="ex2-check" role="check" exercise="2" points=2 rtol=1e-6
ranges = [(-0.71, 2.33, 8), (-5.2, 0.9, 4), (-1.0, 1.2, 3), (0.0, 6.0, 6), (-0.013, 0.002, 8)]
check.value([[float(number) for number in scale_and_zero_point(*case)] for case in ranges])

# %% cell="ex2-check-zero" role="check" exercise="2" points=1 rtol=1e-6
check.value(
    [[float(n) for n in scale_and_zero_point(*case)] for case in ((2.2, 9.1, 8), (-7, -3.5, 4))]
)


# %% cell="ex2-wrong-zero" role="wrong" exercise="2"
# why: the range need not contain 0, so that the zero point is no code
def scale_and_zero_point(low, high, bits):
    scale = (high - low) / (2**bits - 1)
    return scale, round(-(2 ** (bits - 1)) - low / scale)


# %% cell="ex2-wrong-sign" role="wrong" exercise="2"
# why: 0 lies above `low`, but the zero point moves down
def scale_and_zero_point(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-(2 ** (bits - 1)) + low / scale)


# %% cell="ex2-wrong-steps" role="wrong" exercise="2"
# why: as many steps as codes
def scale_and_zero_point(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / 2**bits
    return scale, round(-(2 ** (bits - 1)) - low / scale)


# %% cell="ex2-wrong-unsigned" role="wrong" exercise="2"
# why: the zero point of codes from 0 to 2^bits - 1
def scale_and_zero_point(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


# %% [markdown] cell="observer-text"
# Which range, though? What the watch feels has rare jerks: all but one in a thousand of the network's input numbers lie within
# ±5, the largest is −28. A ruler that reaches it wastes its marks. So cut both ends off step by step, and measure the mean
# squared error that is left, with 8 bits and with 4.

# %% cell="observer-figure"
signal = learn_x[::10].numpy().ravel()
shares = np.geomspace(0.05, 1, 25)
with check.needs("1", "2"):
    fig, ax = plt.subplots(figsize=(7, 2.8))
    for bits, color in ((4, style.OTHER), (8, style.OURS)):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        rulers = [scale_and_zero_point(s * signal.min(), s * signal.max(), bits) for s in shares]
        backs = [dequantize(quantize(signal, *ruler, low, high), *ruler) for ruler in rulers]
        errors = [np.mean((back - signal) ** 2) for back in backs]
        ax.loglog(100 * shares, errors, ".-", color=color, label=f"{bits} bits")
        ax.plot(100 * shares[np.argmin(errors)], min(errors), "o", ms=9, mfc="none", color=color)
    ax.set(xlabel="range, in % of smallest to largest", ylabel="mean squared error")
    ax.legend()

# %% [markdown] cell="observer-observe"
# To the left clipping rules, to the right rounding. The best range lies between, and the fewer the bits, the further to the left.
# What picks a range while sample data flows through the network is called an *observer*; the explorer below has five.

# %% [markdown] cell="fold-text"
# ## Exercise 3 · A ruler for every channel
# First, batch norms are *folded*: at inference they multiply and add, which the convolution before them can do as well. The
# function stays. But each channel is multiplied by a factor of its own, so some channels now have larger weights than others, and
# one ruler for all must be as long as the longest.

# %% cell="fold"
folded = fold_batch_norms(model)
print(f"largest change of an output: {(folded(test_x) - model(test_x)).abs().max().item():.1e}")
first = folded.get_submodule("features.0.0").weight.detach().numpy()
largest = np.abs(first).reshape(len(first), -1).max(axis=1)
fig, ax = plt.subplots(figsize=(7, 2))
ax.bar(range(len(largest)), largest, color=style.MEASURED)
_ = ax.set(xlabel="output channel of the first layer, norm folded", ylabel="largest |weight|")

# %% [markdown] cell="channel-text"
# Weights get no zero point: their ruler is symmetric, from −(2^(b−1) − 1) to 2^(b−1) − 1. (The code −128 of int8 stays unused;
# the kernels of TensorFlow Lite want it so.) The largest weight of a channel becomes the last mark. By hand, with 4 bits: the
# codes end at 7, so a channel with weights 3, −7 and 1 has scale 1.


# %% cell="ex3-answer" role="answer" exercise="3" hides="quantization.prepare.quantize_weight"
def channel_scales(weight, bits):
    """One scale for each output channel, symmetric about zero.

    weight  : array (outputs, ...), for example (outputs, inputs, kernel)
    returns : array (outputs,): the largest magnitude of a channel is the last code, 2^(bits-1) - 1

    Example: channel_scales([[3, -7, 1], [0.2, 0.7, -0.1]], 4) is [1, 0.1].
    Hint: reshape(len(weight), -1) makes one row of each output channel.
    """
    # BEGIN SOLUTION
    weight = np.asarray(weight)
    return np.abs(weight).reshape(len(weight), -1).max(axis=1) / (2 ** (bits - 1) - 1)
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
two = np.array([[3, -7, 1], [0.2, 0.7, -0.1]])
cube = np.arange(24).reshape(2, 3, 4) - 12.0
check.close(
    "3",
    lambda: [channel_scales(two, 4), channel_scales(two, 2), channel_scales(cube, 3)],
    [[1, 0.1], [7, 0.7], [4, 11 / 3]],
    title="two channels with 4 bits · with 2 · 2 outputs, 3 inputs, kernel of 4",
)

# %% cell="ex3-check" role="check" exercise="3" points=2 rtol=1e-6
rng = np.random.default_rng(4)
weights = rng.normal(size=(5, 4, 3, 2)) * np.array([1, 9, 0.1, 3, 2]).reshape(5, 1, 1, 1)
check.value([np.asarray(channel_scales(weights, bits)).ravel().tolist() for bits in (8, 4, 2)])

# %% cell="ex3-check-square" role="check" exercise="3" points=1 rtol=1e-6
check.value(channel_scales(rng.normal(size=(4, 4)) - 2, 5))


# %% cell="ex3-wrong-axis" role="wrong" exercise="3"
# why: one scale for each input instead of each output
def channel_scales(weight, bits):
    weight = np.asarray(weight).swapaxes(0, 1)
    return np.abs(weight).reshape(len(weight), -1).max(axis=1) / (2 ** (bits - 1) - 1)


# %% cell="ex3-wrong-tensor" role="wrong" exercise="3"
# why: the same scale for every channel
def channel_scales(weight, bits):
    return np.full(len(weight), np.abs(weight).max() / (2 ** (bits - 1) - 1))


# %% cell="ex3-wrong-codes" role="wrong" exercise="3"
# why: the last code of a signed grid is not 2^(bits-1)
def channel_scales(weight, bits):
    weight = np.asarray(weight)
    return np.abs(weight).reshape(len(weight), -1).max(axis=1) / 2 ** (bits - 1)


# %% cell="ex3-wrong-signed" role="wrong" exercise="3"
# why: forgets that the largest magnitude may be negative
def channel_scales(weight, bits):
    weight = np.asarray(weight)
    return weight.reshape(len(weight), -1).max(axis=1) / (2 ** (bits - 1) - 1)


# %% [markdown] cell="snr-text"
# What does it buy? The *signal-to-noise ratio* says how much stronger the weights are than their rounding errors, in decibels;
# one bit more is worth 6 dB. Below: 4-bit weights of each layer, once with the largest of your scales for all channels, once with
# your scales as they are.

# %% cell="snr"
names = ["features.0.0", "features.1.0", "features.2.0", "classifier"]
with check.needs("1", "3"):
    for name in names:
        w = folded.get_submodule(name).weight.detach().flatten(1).numpy()
        scales = channel_scales(w, 4)[:, None]
        for about, scale in (("one ruler", scales.max()), ("a ruler each", scales)):
            noise = dequantize(quantize(w, scale, 0, -7, 7), scale, 0) - w
            print(f"{name:13} {about:13} {10 * np.log10(np.sum(w**2) / np.sum(noise**2)):5.1f} dB")

# %% [markdown] cell="explorer-text"
# ## Move it yourself
# Questions first. (a) First layer, one ruler: at how many bits do most of its weights become 0? (b) Do more decibels always mean
# more accuracy? (c) On which device do fewer bits save time, on which only memory, on which do they even cost time? (d) 4-bit
# activations: which observer saves the network? Your `quantize` does the rounding.

# %% cell="explorer"
with check.needs("1"):
    display(explorers.QuantizationExplorer(quantize))

# %% [markdown] cell="ptq-text"
# ## All layers, real data
# Now with labkit, which does what you did, for every layer (`labkit/quantization/` is short enough to read). `prepare` folds the
# norms, gives each weight its grid and puts a quantizer wherever a chip writes a tensor to memory. `calibrate` shows it 246
# windows of the training people, so that observers find their ranges. No training.


# %% cell="ptq"
def post_training(scheme):
    """The network under a scheme: folded, prepared, calibrated."""
    network = prepare(model, scheme)
    calibrate(network, learn_x[::10].split(32))
    return network


int8 = post_training(Scheme(weights=Int(8), activations=Int(8, narrow=False)))
print(f"float {accuracy(model):.1%}, 8-bit weights and activations {accuracy(int8):.1%}")

# %% cell="ptq-figure"
widths = [8, 6, 5, 4, 3, 2]
fig, ax = plt.subplots(figsize=(7, 3))
for granularity, about, look in (
    (PerTensor(), "one ruler a layer", {"color": style.OTHER, "marker": "s"}),
    (PerChannel(), "one a channel", {"color": style.OURS, "marker": "o"}),
):
    scores = [accuracy(post_training(Scheme(Int(b), granularity=granularity))) for b in widths]
    ax.plot(widths, scores, label=about, **look)
ax.axhline(accuracy(model), color=style.MEASURED, lw=1, label="float")
ax.axhspan(
    accuracy(model) - 0.02, accuracy(model), color=style.GHOST, alpha=0.3, label="two points"
)
ax.set(xlabel="bits of a weight, activations 8", ylabel="accuracy", ylim=(0, 1))
ax.invert_xaxis()
_ = ax.legend()

# %% cell="reveal-bits"
kept = [b for b, score in zip(widths, scores) if score >= accuracy(model) - 0.02]
fewest.reveal(str(min(kept)))

# %% [markdown] cell="ptq-observe"
# One ruler a channel costs a chip next to nothing and keeps the network at 4 bits; one ruler a layer breaks it at 3. Here and
# there accuracy even rises when bits are taken away: with three people that is luck, not progress.

# %% [markdown] cell="layer-text"
# Which layer hurts? Take them one at a time: 2 bits for one layer, 8 for the others. With three strangers accuracy is a blunt
# instrument: it can even rise by luck. Sharper is *agreement*: in how many windows does the quantized network answer what the
# float network answers?


# %% cell="layer"
def only(name, bits):
    """The int8 network with one layer at fewer bits."""
    network = prepare(model, Scheme())
    layer = network.get_submodule(name)
    torch.nn.utils.parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    quantize_weight(layer, Int(bits), Scheme())
    calibrate(network, learn_x[::10].split(32))
    return predict(network, test_x)


answers = predict(model, test_x)
for name in names:
    for bits in (3, 2):
        said = only(name, bits)
        agrees, right = ((said == truth).float().mean() for truth in (answers, test_y))
        print(f"{name:13} {bits} bits: agrees in {agrees:.1%}, right in {right:.1%}")

# %% [markdown] cell="layer-observe"
# The first layer hurts soonest: its channels are the most uneven, and what it loses, no later layer sees. The last one hardly
# minds. Look at the third layer with 2 bits: it agrees less with the float network and is right more often. That is luck, caught
# in the act.

# %% [markdown] cell="ste-text"
# ## Exercise 4 · A gradient through a staircase
# At 2 bits the network is broken. Could training repair it? A staircase is flat: its gradient is 0, and nothing learns. The
# *straight-through estimator* lies on purpose (Bengio et al., arXiv:1308.3432): where the code is inside the grid the gradient
# passes as if nothing had been rounded; where it is clipped, the gradient stops.


# %% cell="ex4-answer" role="answer" exercise="4" hides="quantization.gradients"
def straight_through(gradient, x, scale, low, high):
    """What the straight-through estimator passes back through quantize (zero point 0).

    gradient  : gradient of the loss with respect to the quantized numbers, array
    x         : the numbers that were quantized, same shape
    scale     : distance of two marks
    low, high : smallest and largest code

    It passes where the nearest whole number to x / scale lies in low..high, the ends included.
    Example: straight_through([5, 5], [0.7, 9], 0.5, -2, 1) is [5, 0]: 0.7 has code 1, 9 would have 18.
    """
    # BEGIN SOLUTION
    codes = np.round(np.asarray(x) / scale)
    return np.asarray(gradient) * ((codes >= low) & (codes <= high))
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
four = np.array([-2, -0.4, 0.7, 9])
check.close(
    "4",
    lambda: straight_through(np.array([1, 2, 3, 4]), four, 0.5, -2, 1),
    [0, 2, 3, 0],
    title="codes −4, −1, 1 and 18 on a grid from −2 to 1",
)

# %% cell="ex4-check" role="check" exercise="4" points=2 rtol=1e-6
x = np.linspace(-3, 3, 40)
check.value(
    [
        np.asarray(straight_through(np.cos(x), x, scale, low, high)).tolist()
        for scale, low, high in ((0.31, -4, 3), (0.13, -7, 7))
    ]
)


# %% cell="ex4-wrong-true" role="wrong" exercise="4"
# why: the true gradient of a staircase, which teaches nothing
def straight_through(gradient, x, scale, low, high):
    return np.zeros_like(np.asarray(x, dtype=float))


# %% cell="ex4-wrong-all" role="wrong" exercise="4"
# why: passes the gradient on where the code is clipped, too
def straight_through(gradient, x, scale, low, high):
    return np.asarray(gradient)


# %% cell="ex4-wrong-units" role="wrong" exercise="4"
# why: compares the numbers instead of their codes with the ends of the grid
def straight_through(gradient, x, scale, low, high):
    x = np.asarray(x)
    return np.asarray(gradient) * ((x >= low) & (x <= high))


# %% cell="ex4-wrong-scale" role="wrong" exercise="4"
# why: multiplies by the scale, which quantize divides by and dequantize multiplies by again
def straight_through(gradient, x, scale, low, high):
    codes = np.round(np.asarray(x) / scale)
    return np.asarray(gradient) * ((codes >= low) & (codes <= high)) * scale


# %% [markdown] cell="one-weight-text"
# Your gradient at work on a single weight, which ought to be 0.6 but has marks at 0.5 and 0.75 only. The float weight (thin)
# drifts; its rounded value (thick) jumps when a boundary is crossed, and in the end it changes to and fro between both marks.

# %% cell="one-weight"
with check.needs("1", "4"):
    latent, trace = -0.7, []
    for _ in range(60):
        rounded = dequantize(quantize(latent, 0.25, 0, -4, 3), 0.25, 0)
        trace.append((latent, float(rounded)))
        latent = latent - 0.1 * float(straight_through(2 * (rounded - 0.6), latent, 0.25, -4, 3))
    fig, ax = plt.subplots(figsize=(7, 2.4))
    ax.axhline(0.6, color=style.MEASURED, lw=1, ls="--", label="wanted")
    ax.plot([t[0] for t in trace], color=style.OURS, lw=1, label="the float weight")
    ax.step(
        range(60), [t[1] for t in trace], color=style.OURS, lw=2.5, where="post", label="rounded"
    )
    ax.set(xlabel="step of gradient descent", yticks=[-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75])
    ax.legend(loc="lower right")

# %% [markdown] cell="predict-qat-text"
# Now all 9,824 weights at 2 bits: each is −1, 0 or 1 times the scale of its channel. *Quantization-aware training* (QAT) goes on
# training the prepared network for six epochs, a few seconds. The scales learn as well (LSQ, Esser et al., arXiv:1902.08153).

# %% cell="predict-qat-card"
rescued = Prediction(
    "04-qat",
    "2-bit weights, after six epochs of training: what accuracy on the three strangers?",
    low=0,
    high=100,
    unit="%",
)
rescued

# %% cell="qat"
trained = {}
for bits in (2, 3):
    network = post_training(Scheme(weights=Int(bits), weight_scale="lsq"))
    before = accuracy(network)
    fit(network, (learn_x, learn_y), None, Recipe(epochs=6, batch_size=128, learning_rate=2e-3))
    trained[bits] = network
    print(f"{bits}-bit weights: {before:.1%} before, {accuracy(network):.1%} after training")

# %% cell="reveal-qat"
rescued.reveal(round(100 * accuracy(trained[2])))

# %% [markdown] cell="qat-observe"
# A few seconds of training win back what rounding had destroyed. If the result lies above the float network, be careful: three
# strangers, and the float network did not get these extra epochs. The fair comparison further down gives it them.

# %% [markdown] cell="integer-text"
# ## Exercise 5 · Without a single float
# A chip adds products of codes in a 32-bit *accumulator*. To make an 8-bit code of it, it multiplies by M = weight scale · input
# scale / output scale, say 0.0037. M is no whole number, but close to m / 2^s with a 31-bit integer m. Multiply by m, shift right
# by s bits, round: that is how TensorFlow Lite does it.


# %% cell="ex5-answer" role="answer" exercise="5" hides="quantization.integer.requantize"
def multiplier_and_shift(real):
    """Whole numbers (m, s) with real ≈ m / 2^s and 2^30 <= m < 2^31; real is positive.

    Example: multiplier_and_shift(0.75) is (1610612736, 31). Hint: fraction, exponent = np.frexp(real) gives
    real = fraction · 2^exponent with 0.5 <= fraction < 1. A fraction of 0.99999999999 rounds up to 2^31: one too many.
    """
    # BEGIN SOLUTION
    fraction, exponent = np.frexp(real)
    m, shift = round(float(fraction) * 2**31), 31 - int(exponent)
    return (m, shift) if m < 2**31 else (m // 2, shift - 1)
    # END SOLUTION


def rescale(accumulator, m, shift):
    """accumulator · m / 2^shift, rounded to the nearest whole number, halves upwards. Integers only.

    accumulator : int32 array; its product with m needs 64 bits
    Example: rescale([3, -3, 5], 2**30, 31) is [2, -1, 3]: 1.5, -1.5 and 2.5.
    Hint: x >> s drops s bits, which rounds down. What must be added first? A one shifted left is 1 << k.
    """
    # BEGIN SOLUTION
    accumulator = np.asarray(accumulator, dtype=np.int64)
    return (accumulator * m + (1 << (shift - 1))) >> shift
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
check.equal(
    "5",
    lambda: [int(n) for r in (0.75, 0.0037, 1.0) for n in multiplier_and_shift(r)],
    [1610612736, 31, 2034096511, 39, 1073741824, 30],
    title="0.75, 0.0037 and 1",
)
check.close(
    "5",
    lambda: rescale(np.int32([3, -3, 5, 0]), 2**30, 31),
    [2, -1, 3, 0],
    title="halves of 3, −3, 5 and 0",
)
check.close(
    "5",
    lambda: rescale(np.int32([10**6, -(10**6)]), 2034096511, 39),
    [3700, -3700],
    title="a million times 0.0037",
)

# %% cell="ex5-check" role="check" exercise="5" points=2
reals = (0.3, 0.5, 0.99999999999, 3.1e-5, 1.7, 0.0009765625)
check.value([[int(n) for n in multiplier_and_shift(real)] for real in reals])

# %% cell="ex5-check-rescale" role="check" exercise="5" points=2
accumulators = np.arange(-2_000_000, 2_000_001, 160_007, dtype=np.int32)
ties = np.arange(-20, 21, dtype=np.int32)
check.value(
    [
        np.asarray(rescale(accumulators, 1518500250, 40)).tolist(),
        np.asarray(rescale(ties, 2**30, 32)).tolist(),
    ]
)


# %% cell="ex5-wrong-float" role="wrong" exercise="5"
# why: a float in disguise, and it rounds halves to the even number
def rescale(accumulator, m, shift):
    return np.round(np.asarray(accumulator) * (m / 2**shift))


# %% cell="ex5-wrong-truncate" role="wrong" exercise="5"
# why: shifts without rounding, so that every code is half a step too small on average
def rescale(accumulator, m, shift):
    return (np.asarray(accumulator, dtype=np.int64) * m) >> shift


# %% cell="ex5-wrong-overflow" role="wrong" exercise="5"
# why: the product does not fit into the 32 bits of the accumulator
def rescale(accumulator, m, shift):
    accumulator = np.asarray(accumulator, dtype=np.int32)
    return (accumulator * np.int32(m) + (1 << (min(shift, 31) - 1))) >> shift


# %% cell="ex5-wrong-shift" role="wrong" exercise="5"
# why: one bit off: a fraction in [0.5, 1) times 2^31 needs 31 more bits of shift, not 30
def multiplier_and_shift(real):
    fraction, exponent = np.frexp(real)
    return round(float(fraction) * 2**31), 30 - int(exponent)


# %% cell="ex5-wrong-carry" role="wrong" exercise="5"
# why: the fraction that rounds up to 1 leaves a multiplier of 32 bits
def multiplier_and_shift(real):
    fraction, exponent = np.frexp(real)
    return round(float(fraction) * 2**31), 31 - int(exponent)


# %% [markdown] cell="integer-layer-text"
# Your two functions run the last layer of the network: 64 codes in, 7 codes out. `IntegerNetwork` took codes, scales and zero
# points out of the int8 network and does the same for every layer; to run, it needs numpy and nothing else. It knows several ways
# of rounding; yours is called "single".

# %% cell="integer-layer"
integer = IntegerNetwork.of(int8, test_x[:1])
codes = integer.tensors(test_x, rounding="single")
last = integer.operations[-1]
pooled, grid = codes[last.inputs[0]], integer.grids[last.inputs[0]]
accumulator = (pooled - grid.zero_point) @ last.weight.T + last.bias
with check.needs("5"):
    columns = []
    for channel, step in enumerate(last.step(grid)):
        m, shift = multiplier_and_shift(step / last.out.scale)
        columns.append(rescale(accumulator[:, channel], m, shift))
    yours = np.clip(np.stack(columns, axis=1) + last.out.zero_point, -128, 127)
    print(f"accumulators from {accumulator.min():,} to {accumulator.max():,}")
    print(f"{(yours != codes[last.name]).sum()} of {yours.size:,} codes differ from labkit's")

# %% [markdown] cell="faces-text"
# The network has two faces: integers, or floats that imitate them, as in training. Count the codes that differ. Rounded exactly,
# no code may. TensorFlow Lite's kernels round twice, once after m and once after the shift, so now and then one code is one off,
# and what reads it may differ too.

# %% cell="faces"
floats = integer.tensors(test_x, face="float")
exact, tflite = (integer.tensors(test_x, rounding=name) for name in ("exact", "tflite"))
print("codes that differ from the float face    exact   as TFLite Micro")
for name, want in floats.items():
    differ = [np.sum(face[name] != want) for face in (exact, tflite)]
    print(f"{name:14} {want.size:9,} codes {differ[0]:15,} {differ[1]:17,}")
for about, face in (("exact", exact), ("as TFLite Micro", tflite)):
    right = np.mean(face[last.name].argmax(axis=1) == strangers.y)
    print(f"accuracy in integers, {about}: {right:.1%}")

# %% [markdown] cell="onnx-text"
# So the integers may leave the laboratory. Written as ONNX, a format that most runtimes read, the network runs in ONNX Runtime,
# which multiplies by M in float32 and rounds halves to even: "onnx" in our list. The answers must be the same to the last code.
# (Without the packages onnx and onnxruntime, the cell says so.)

# %% cell="onnx"
try:
    file = onnx.export(integer, Path(tempfile.mkdtemp(), "har-cnn.onnx"))
    logits = onnx.session(file).run(["logits"], {"input": test_x.numpy()})[0]
    differ = np.sum(logits != integer.logits(test_x, rounding="onnx"))
    print(f"{file.stat().st_size:,} bytes; {differ} of {logits.size:,} logits differ from ours")
except ImportError as error:
    print(error)

# %% [markdown] cell="fair-text"
# ## A fair comparison
# MQBench (Li et al., arXiv:2111.03759) trained the same networks with many published algorithms, once as papers do it
# (*academic*: norms stay float, only what a layer reads is quantized) and once as chips need it (*deployable*: norms folded,
# every operation quantized). The same question for 4-bit weights and activations: a mark for each of three seeds, a line for each
# float network.

# %% cell="fair-figure"
rows = json.loads(bench.TABLE.read_text())["rows"] if bench.TABLE.exists() else []
algorithms = ["straight-through", "DoReFa", "PACT", "LSQ"]
looks = {"academic": (-0.13, style.OTHER, "s"), "deployable": (0.13, style.OURS, "o")}
fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharex=True, sharey=True)
for row in rows:
    ax = axes[list(bench.TASKS).index(row["task"])]
    name, _, setting = row["method"].partition(", ")
    score = 100 * row.get("integer_accuracy", row["accuracy"])
    if row["method"] == "float":
        ax.axvline(score, color=style.MEASURED, lw=0.8)
    elif setting in looks:
        shift, color, marker = looks[setting]
        ax.plot(score, algorithms.index(name) + shift, marker, color=color, ms=6, alpha=0.7)
for setting, (_, color, marker) in looks.items():
    axes[0].plot([], [], marker, color=color, label=setting)
for ax, task in zip(axes, bench.TASKS):
    ax.set(title=task, xlabel="accuracy (%)", yticks=range(4), yticklabels=algorithms)
_ = fig.legend(ncols=2, loc="outside upper right")

# %% [markdown] cell="fair-observe"
# On keywords, in the academic setting, all four come within three points of float; a paper could crown any of them. Deployed, run
# in integers, they lose from six points to more than twenty, and the order is another one. On the activities nothing of the kind
# happens: seven easy classes forgive everything. Compare on the task you have, in the setting you ship.

# %% [markdown] cell="fair-why"
# Why do integers lose more than the floats that imitate them? With 4 bits on both sides one unit of an accumulator is about a
# tenth of an output code; with 8 bits it is some thousandths. So a bias rounded to whole units, and TensorFlow Lite's second
# rounding, are felt. Fake quantization knows of neither: run the integers before you believe it.

# %% [markdown] cell="formats-text"
# And all formats as they are deployed: every row starts from the same float networks, one a seed. The spread is the
# largest minus the smallest of three seeds. The command `labkit train quantization-table` makes both.

# %% cell="formats"
formats = [row for row in rows if row["method"] in bench.FORMATS]
print(
    bench.table(formats)
    if formats
    else "not measured here yet; run: labkit train quantization-table"
)

# %% [markdown] cell="again-text"
# Believe nothing: make the table again. Write `"activities"` for the watch (some minutes on two cores) or `"keywords"` (longer,
# and it downloads the clips). Then every algorithm is trained before your eyes.

# %% cell="again"
again = None
if again:
    print(bench.table(bench.compare(bench.TASKS[again](), bench.ALGORITHMS, seeds=(0,))))

# %% [markdown] cell="paper-text"
# ## The paper says, measured here
# Brevitas, the reference among quantization libraries, publishes MobileNetV2 on ImageNet after post-training quantization, the
# best of its configurations. Other network (3.5 million parameters), other data (a million photographs), same question: what
# happens between 8 and 4 bits?

# %% cell="paper-table"
ours = {b: accuracy(post_training(Scheme(Int(b), granularity=PerTensor()))) for b in (8, 4)}
print("post-training, 8-bit activations,      MobileNetV2, ImageNet   HAR-CNN, watch")
print("one scale a layer                      (brevitas)              (here, 3 people)")
print(f"float                                  71.9 %                  {accuracy(model):.1%}")
print(f"8-bit weights                          71.5 %                  {ours[8]:.1%}")
print(f"4-bit weights                          47.9 %                  {ours[4]:.1%}")

# %% [markdown] cell="paper-observe"
# The shape agrees: 8 bits cost next to nothing, 4 bits without training cost points. How many is a property of network and task:
# a thousand classes leave less room than seven, and MobileNet's depthwise channels are uneven.

# %% [markdown] cell="reflect-text"
# ## Reflect
# Which of the settings above would you ship on a watch, and which one number decided? Would it still be right on another chip?
# Change the first line to your choice; later labs can read it.

# %% cell="reflect"
choice = {"bits": 4, "device": "mpic"}
network = post_training(Scheme(weights=Int(choice["bits"])))
workload = labkit.trace(network, test_x[:1], name="HAR-CNN")
price = labkit.device(choice["device"]).estimate(workload)
ledger.record(
    "04",
    **choice,
    accuracy=round(accuracy(network), 3),
    weight_bytes=workload.weight_bytes,
    latency_ms=price.latency_ms.mid,
    energy_uj=price.energy_uj.mid,
)
ledger.read("04")
