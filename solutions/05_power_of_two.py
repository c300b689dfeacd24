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
# # 05 · Power-of-two quantization
#
# **Goal.** Build networks whose weights are powers of two, so that no weight is ever multiplied: a shift does it. Then find out
# what that costs in accuracy, and on which chips it saves anything.
#
# **Time.** 45 minutes. **You need** lab 04: scale, code, rounding, training with rounded weights.

# %% cell="setup"
import json
import operator

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion
from labkit.hardware import inner_loops
from labkit.quantization.formats import AdditivePowerOfTwo, Int, PowerOfTwo, TwoStep
from labkit.quantization.integer import kernels, shifts
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, calibrate, prepare
from labkit.training import Recipe, fit, predict

style.use()
torch.set_num_threads(1)  # a network this small gains nothing from a second thread

# %% [markdown] cell="predict-m4-text"
# ## Predict first
# In binary, 5 · 4 is 101 moved two places to the left: 10100. A weight of ±2^k needs no multiplier, only a *shift*. Textbooks
# call shifts cheap. You will shift a whole network; say beforehand what a common chip makes of it.

# %% cell="predict-m4-card"
on_m4 = Prediction(
    "05-m4",
    "A Cortex-M4: how many times faster is a MAC with a power-of-two weight than with an int8 weight? (Below 1: slower.)",
    low=0.05,
    high=20,
    log=True,
    unit="times",
)
on_m4

# %% [markdown] cell="nearest-text"
# ## Exercise 1 · The nearest power of two
# With b bits there are 2^b − 1 codes: zero, and two signs of n = 2^(b−1) − 1 powers. By hand, for 3 bits: 0, ±1, ±2, ±4. The
# weight 2.9 goes to 2, which is 0.9 away; 4 is 1.1 away. Careful: log2(2.9) = 1.54 would round to 2, and 2² is the wrong answer.


# %% cell="ex1-answer" role="answer" exercise="1" hides="quantization.formats.PowerOfTwo quantization.formats.Format.project"
def nearest_power(x, bits):
    """The nearest of 0, ±1, ±2, ±4, …, ±2^(n−1) for every number of x, where n = 2^(bits−1) − 1.

    x       : array of weights / scale, of any shape
    returns : array of the same shape; halfway between two codes goes to the one nearer to zero

    Example: nearest_power([0.4, 2.9, -3.1, -99], 3) is [0, 2, -4, -4].
    Hint: a magnitude becomes code i when it lies between the middles on both sides; np.searchsorted counts the
    middles below it. Give it its sign at the end.
    """
    # BEGIN SOLUTION
    codes = np.append(0, 2.0 ** np.arange(2 ** (bits - 1) - 1))
    middles = (codes[1:] + codes[:-1]) / 2
    return np.sign(x) * codes[np.searchsorted(middles, np.abs(x))]
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
some = np.array([0.4, 0.6, 1.4, 1.6, 2.9, 3.1, 99, -0.4, -2.9, -3.1, -99])
by_hand = [0, 1, 1, 2, 2, 4, 4, 0, -2, -4, -4]
check.close("1", lambda: nearest_power(some, 3), by_hand, title="3 bits, by hand")
check.close("1", lambda: nearest_power([11.9, 12.1, -200], 4), [8, 16, -64], title="4 bits")

# %% cell="ex1-check" role="check" exercise="1" points=2
check.value(nearest_power(np.linspace(-90.1, 90, 401), 4))

# %% cell="ex1-check-bits" role="check" exercise="1" points=1
check.value([nearest_power(np.linspace(-7.3, 7.37, 99).reshape(3, 33), b) for b in (2, 3, 5)])


# %% cell="ex1-wrong-log" role="wrong" exercise="1"
# why: rounds the exponent, that is, in the logarithm
def nearest_power(x, bits):
    size = np.abs(np.asarray(x, dtype=float))
    exponent = np.clip(np.round(np.log2(np.maximum(size, 1e-9))), 0, 2 ** (bits - 1) - 2)
    return np.where(size > 0.5, np.sign(x) * 2.0**exponent, 0)


# %% cell="ex1-wrong-floor" role="wrong" exercise="1"
# why: the next power below, not the nearest
def nearest_power(x, bits):
    size = np.abs(np.asarray(x, dtype=float))
    exponent = np.clip(np.floor(np.log2(np.maximum(size, 1e-9))), 0, 2 ** (bits - 1) - 2)
    return np.where(size > 0.5, np.sign(x) * 2.0**exponent, 0)


# %% cell="ex1-wrong-zero" role="wrong" exercise="1"
# why: forgets that zero is a code
def nearest_power(x, bits):
    codes = 2.0 ** np.arange(2 ** (bits - 1) - 1)
    middles = (codes[1:] + codes[:-1]) / 2
    return np.sign(x) * codes[np.searchsorted(middles, np.abs(x))]


# %% cell="ex1-wrong-sign" role="wrong" exercise="1"
# why: forgets the sign
def nearest_power(x, bits):
    codes = np.append(0, 2.0 ** np.arange(2 ** (bits - 1) - 1))
    return codes[np.searchsorted((codes[1:] + codes[:-1]) / 2, np.abs(x))]


# %% cell="ex1-wrong-range" role="wrong" exercise="1"
# why: has as many powers as an integer of these bits has bits
def nearest_power(x, bits):
    codes = np.append(0, 2.0 ** np.arange(bits - 1))
    middles = (codes[1:] + codes[:-1]) / 2
    return np.sign(x) * codes[np.searchsorted(middles, np.abs(x))]


# %% [markdown] cell="staircase-text"
# Your rounding beside the uniform grid of the same bits. Near zero the powers are finer, at the ends coarser: between 0.5 and 1,
# which is half of the range, there is no code at all.

# %% cell="staircase"
with check.needs("1"):
    w = np.linspace(-1.1, 1.1, 1001)
    fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 2.8))
    for ax, bits in zip(axes, (3, 4)):
        top, last = 2 ** (2 ** (bits - 1) - 2), 2 ** (bits - 1) - 1
        ax.plot(
            w, np.clip(np.round(w * last), -last, last) / last, color=style.OTHER, label="uniform"
        )
        ax.plot(w, nearest_power(w * top, bits) / top, color=style.OURS, label="power of two")
        ax.set(xlabel="weight / largest weight", title=f"{bits} bits")
    axes[0].legend()

# %% [markdown] cell="machine-text"
# ## Exercise 2 · A dot product without a multiplier
# How to prove that code multiplies nothing? Run it on a machine that cannot. Below is one: whole numbers that add, subtract and
# shift, count their shifts, and refuse to multiply or divide. An innocent-looking dot product does not get past it.


# %% cell="machine"
def exactly(operation):
    """The same operation, whose result is again a number of that machine."""
    return lambda *numbers: NoMultiplier(operation(*map(int, numbers)))


class NoMultiplier(int):
    """A whole number on a machine without a multiplier."""

    shifts = 0  # so far, on this machine
    __add__ = __radd__ = exactly(operator.add)
    __sub__, __rsub__ = exactly(operator.sub), exactly(lambda a, b: b - a)
    __neg__ = exactly(operator.neg)

    def __lshift__(self, places):
        NoMultiplier.shifts += 1
        return NoMultiplier(int(self) << int(places))

    def refuse(self, *other):
        raise TypeError("this machine has no multiplier")

    __mul__ = __rmul__ = __matmul__ = __rmatmul__ = __pow__ = __rpow__ = refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __float__ = refuse


# %% cell="machine-run"
def on_the_machine(dot, signs, exponents, codes):
    """What dot(signs, exponents, codes) gives there, and how many shifts it took."""
    before = NoMultiplier.shifts
    total = dot(signs, exponents, np.array([NoMultiplier(c) for c in codes], dtype=object))
    return int(total), NoMultiplier.shifts - before


def with_a_star(signs, exponents, codes):
    return np.sum(signs * (codes << exponents))


try:
    on_the_machine(with_a_star, np.array([1, -1]), np.array([2, 1]), [3, 5])
except TypeError as error:
    print("noticed:", error)

# %% [markdown] cell="dot-text"
# Even the sign counts: sign · number is a multiplication, so add where the sign is + and subtract where it is −. With a pencil:
# the weights 4, −2, 0, 8 (signs 1, −1, 0, 1; exponents 2, 1, 0, 3) and the activations 3, 5, 7, −1 give 12 − 10 − 8 = −6.


# %% cell="ex2-answer" role="answer" exercise="2" hides="quantization.integer.shifts"
def shift_dot(signs, exponents, codes):
    """The sum of sign · 2^exponent · code over all weights, with shifts, additions and subtractions only.

    signs     : array of −1, 0, 1; a weight of zero has sign 0, and whatever exponent
    exponents : array of whole numbers, 0 or more
    codes     : array of activations, whole numbers (of a machine without a multiplier)

    Example: shift_dot([1, -1, 0, 1], [2, 1, 0, 3], [3, 5, 7, -1]) is -6.
    Hint: a plain loop over the three is fine; code << exponent is the shift.
    """
    # BEGIN SOLUTION
    total = 0
    for sign, exponent, code in zip(signs, exponents, codes):
        if sign > 0:
            total += code << exponent
        elif sign < 0:
            total -= code << exponent
    return total
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
pencil = np.array([1, -1, 0, 1]), np.array([2, 1, 0, 3]), [3, 5, 7, -1]
check.equal("2", lambda: on_the_machine(shift_dot, *pencil)[0], -6, title="the pencil example")
check.true(
    "2", lambda: on_the_machine(shift_dot, *pencil)[1] >= 3, "each of three weights was shifted"
)
check.equal(
    "2",
    lambda: on_the_machine(shift_dot, np.array([-1, 0]), np.array([0, 5]), [-9, 4])[0],
    9,
    title="minus one, and a zero",
)

# %% cell="ex2-check" role="check" exercise="2" points=2
rng = np.random.default_rng(5)
drawn = rng.integers(-1, 2, 200), rng.integers(0, 7, 200), rng.integers(-128, 128, 200).tolist()
total, shifted = on_the_machine(shift_dot, *drawn)
check.value([total, bool(shifted >= np.count_nonzero(drawn[0] * drawn[1]))])

# %% cell="ex2-check-small" role="check" exercise="2" points=1
cases = [([1], [2], [5]), ([-1, -1], [6, 0], [-2, 7]), ([0, 0, 1], [3, 1, 4], [9, -9, 1])]
found = [on_the_machine(shift_dot, np.array(s), np.array(e), c) for s, e, c in cases]
check.value([(total, bool(shifted >= 1)) for total, shifted in found])


# %% cell="ex2-wrong-star" role="wrong" exercise="2"
# why: leaves the machine and multiplies
def shift_dot(signs, exponents, codes):
    return sum(int(s) * 2 ** int(e) * int(c) for s, e, c in zip(signs, exponents, codes))


# %% cell="ex2-wrong-places" role="wrong" exercise="2"
# why: shifts one place too far
def shift_dot(signs, exponents, codes):
    total = 0
    for sign, exponent, code in zip(signs, exponents, codes):
        if sign:
            total = total + (code << exponent + 1) if sign > 0 else total - (code << exponent + 1)
    return total


# %% cell="ex2-wrong-sign" role="wrong" exercise="2"
# why: loses the sign of the weight
def shift_dot(signs, exponents, codes):
    return sum(code << e for sign, e, code in zip(signs, exponents, codes) if sign)


# %% cell="ex2-wrong-zero" role="wrong" exercise="2"
# why: takes a weight of zero for 2^exponent
def shift_dot(signs, exponents, codes):
    total = 0
    for sign, exponent, code in zip(signs, exponents, codes):
        total = total - (code << exponent) if sign < 0 else total + (code << exponent)
    return total


# %% [markdown] cell="predict-bit-text"
# ## One bit more
# In lab 04 every bit bought 6 dB of signal-to-noise ratio, because it halved all steps. Look at your staircases again: where do
# the eight additional powers of a fifth bit go?

# %% cell="predict-bit-card"
one_bit = Prediction(
    "05-bit",
    "Power-of-two weights with 5 bits instead of 4: how much does the signal-to-noise ratio gain?",
    options=["12 dB", "6 dB", "3 dB", "0 dB"],
)
one_bit

# %% cell="snr"
from labkit.explorers.level_formats import trained_layers

layer = trained_layers()["keywords 3: 1×1 conv"].reshape(64, 64)
relative = layer / np.abs(layer).max(axis=1, keepdims=True)  # a scale for each channel


def best_snr(rounded, highest):
    """SNR in dB at the best of many scales; `rounded` rounds to codes up to `highest`."""
    scales = np.linspace(0.3, 1, 36) / highest
    errors = [np.sum((rounded(relative / s) * s - relative) ** 2) for s in scales]
    return 10 * np.log10(np.sum(relative**2) / min(errors))


# %% cell="snr-figure"
with check.needs("1"):
    widths = [2, 3, 4, 5]
    powers = [best_snr(lambda x, b=b: nearest_power(x, b), PowerOfTwo(b).high) for b in widths]
    uniform = [best_snr(Int(b).project, Int(b).high) for b in widths]
    fig, ax = plt.subplots(figsize=(5, 2.8))
    ax.plot(widths, uniform, "s-", color=style.OTHER, label="uniform")
    ax.plot(widths, powers, "o-", color=style.OURS, label="power of two, your rounding")
    ax.axhline(10 * np.log10(28), color=style.MEASURED, lw=1, ls="--", label="10 · log10(28)")
    ax.set(xlabel="bits", xticks=widths, ylabel="SNR (dB)", title="a layer of the keyword network")
    ax.legend()
    one_bit.reveal(f"{round(powers[3] - powers[2])} dB")

# %% [markdown] cell="snr-observe"
# The new powers all go next to zero, where hardly any error was left; between 0.5 and 1 nothing changes. Put numbers evenly
# between two powers, 1 and 2: their mean square is 7/3, that of their error 1/12. The ratio is 28, or 14.5 dB, in every octave,
# with any number of bits. Li et al. (arXiv:1909.13144) call this *rigid resolution*.

# %% [markdown] cell="two-step-text"
# ## Exercise 3 · Two steps
# If tiny weights need no codes of their own, let a uniform grid decide first. *Two-step* quantization (the idea of Avila et al.,
# arXiv:2207.07497; this grid is ours) rounds to integers of few bits, so small weights become zero, then each integer k to ±2^e,
# e being the rounded log2 |k|. By hand, 4 bits: 3 goes to 4, 5 to 4, 6 to 8.


# %% cell="ex3-answer" role="answer" exercise="3" hides="quantization.formats.TwoStep quantization.formats.Format._project"
def two_step(x, bits):
    """Whole numbers from −(2^(bits−1) − 1) to 2^(bits−1) − 1 first, saturated; then ±2^round(log2 |k|), and zero stays zero.

    x       : array of weights / scale, of any shape
    returns : array of the same shape

    Example: two_step([0.4, 1.2, 2.6, 5.4, 6.2, -9], 4) is [0, 1, 4, 4, 8, -8].
    Hint: log2(0) is −infinity; look after zero with np.where or np.maximum.
    """
    # BEGIN SOLUTION
    last = 2 ** (bits - 1) - 1
    k = np.clip(np.round(x), -last, last)
    exponent = np.round(np.log2(np.maximum(np.abs(k), 1)))
    return np.sign(k) * 2**exponent
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
check.close(
    "3",
    lambda: two_step(np.array([0.4, 1.2, 2.6, 5.4, 6.2, -9]), 4),
    [0, 1, 4, 4, 8, -8],
    title="4 bits, by hand",
)
check.close(
    "3",
    lambda: np.unique(two_step(np.linspace(-20, 20, 999), 5)),
    [-16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16],
    title="all codes of 5 bits",
)

# %% cell="ex3-check" role="check" exercise="3" points=2
check.value([two_step(np.linspace(-40.3, 40, 301), b) for b in (2, 3, 4, 6)])


# %% cell="ex3-wrong-one-step" role="wrong" exercise="3"
# why: rounds the logarithm of the weight at once, without the uniform grid
def two_step(x, bits):
    size = np.abs(np.asarray(x, dtype=float))
    exponent = np.clip(np.round(np.log2(np.maximum(size, 1e-9))), 0, bits - 1)
    return np.where(size >= 0.5, np.sign(x) * 2**exponent, 0)


# %% cell="ex3-wrong-floor" role="wrong" exercise="3"
# why: takes the exponent down instead of rounding it
def two_step(x, bits):
    last = 2 ** (bits - 1) - 1
    k = np.clip(np.round(x), -last, last)
    return np.sign(k) * 2 ** np.floor(np.log2(np.maximum(np.abs(k), 1)))


# %% cell="ex3-wrong-saturate" role="wrong" exercise="3"
# why: does not saturate
def two_step(x, bits):
    k = np.round(x)
    return np.sign(k) * 2 ** np.round(np.log2(np.maximum(np.abs(k), 1)))


# %% [markdown] cell="additive-text"
# ## Exercise 4 · Sums of powers
# The other cure spends a second shift: *additive* powers of two (APoT, Li et al., arXiv:1909.13144, eq. 7). A weight is the sum
# of n terms; term i is 0 or one of 2^−i, 2^−(i+n), 2^−(i+2n), …, in all 2^k − 1 powers, so it takes k bits. The terms take
# turns: with n = 2, term 0 has 1, ¼, 1/16 and term 1 has ½, ⅛, 1/32.


# %% cell="ex4-answer" role="answer" exercise="4" hides="quantization.formats.AdditivePowerOfTwo"
def additive_levels(n, k):
    """All levels of n terms of k bits and a sign: distinct, ascending, the largest 1 and the smallest −1.

    term i (from 0 to n − 1) is 0 or one of 2^−(i + j·n), j from 0 to 2^k − 2; a level is a sum with one value of each term

    Example: additive_levels(1, 2) is [-1, -1/2, -1/4, 0, 1/4, 1/2, 1]; additive_levels(2, 1) is [-1, -2/3, -1/3, 0, …, 1].
    Hint: start with the sums {0} and add one term at a time.
    """
    # BEGIN SOLUTION
    sums = {0.0}
    for i in range(n):
        term = [0.0, *(2.0 ** -(i + j * n) for j in range(2**k - 1))]
        sums = {s + value for s in sums for value in term}
    levels = np.array(sorted(sums | {-s for s in sums}))
    return levels / levels.max()
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
quarters, thirds = np.array([-4, -2, -1, 0, 1, 2, 4]) / 4, np.arange(-3, 4) / 3
check.close("4", lambda: additive_levels(1, 2), quarters, title="one term of two bits, by hand")
check.close("4", lambda: additive_levels(2, 1), thirds, title="two terms of one bit, by hand")
check.equal("4", lambda: len(additive_levels(2, 2)), 31, title="two terms of two bits")

# %% cell="ex4-check" role="check" exercise="4" points=2 rtol=1e-9
check.value([additive_levels(n, k) for n, k in ((2, 2), (3, 1), (1, 3))])

# %% cell="ex4-check-long" role="check" exercise="4" points=1 rtol=1e-9
check.value(additive_levels(3, 2))


# %% cell="ex4-wrong-turns" role="wrong" exercise="4"
# why: the terms do not take turns, each has its powers in one piece
def additive_levels(n, k):
    sums = {0.0}
    for i in range(n):
        term = [0.0, *(2.0 ** -(i * (2**k - 1) + j) for j in range(2**k - 1))]
        sums = {s + value for s in sums for value in term}
    levels = np.array(sorted(sums | {-s for s in sums}))
    return levels / levels.max()


# %% cell="ex4-wrong-union" role="wrong" exercise="4"
# why: puts the values of all terms together instead of adding them
def additive_levels(n, k):
    values = {0.0} | {2.0 ** -(i + j * n) for i in range(n) for j in range(2**k - 1)}
    return np.array(sorted(values | {-v for v in values}))


# %% cell="ex4-wrong-sign" role="wrong" exercise="4"
# why: each term has a sign of its own, which would cost a bit each
def additive_levels(n, k):
    sums = {0.0}
    for i in range(n):
        term = [0.0, *(s * 2.0 ** -(i + j * n) for j in range(2**k - 1) for s in (-1, 1))]
        sums = {s + value for s in sums for value in term}
    return np.array(sorted(sums)) / max(sums)


# %% [markdown] cell="levels-text"
# All formats at once. With two terms of two bits and a sign, your additive levels have 5 bits. They are dense near zero, where
# most weights are, and still have something to offer at the ends.

# %% cell="levels-figure"
with check.needs("1", "3", "4"):
    ramp = np.linspace(-1, 1, 4001)
    shown = {
        "uniform": np.arange(-15, 16) / 15,
        "power of two": np.unique(nearest_power(ramp * 2**14, 5)) / 2**14,
        "two steps": np.unique(two_step(ramp * 15, 5)) / 16,
        "additive": additive_levels(2, 2),
    }
    fig, ax = plt.subplots(figsize=(7, 1.8))
    for row, levels in enumerate(shown.values()):
        ax.plot(levels, np.full(len(levels), row), "|", color=style.OURS, ms=16)
    ax.set(yticks=range(4), yticklabels=shown, ylim=(3.6, -0.6), title="levels of 5 bits")

# %% [markdown] cell="explorer-text"
# ## Move it yourself
# Questions first. (a) At 4 bits, which format loses least when the layer has one scale, which when each channel has its own?
# (b) *Reach* moves the last level inwards: who gains, who does not care, and why? (c) Where does a shift save cycles, where
# energy? Your rounding draws "power of two".

# %% cell="explorer"
with check.needs("1"):
    nearest_power(np.zeros(1), 4)
    display(explorers.LevelExplorer(nearest_power))

# %% [markdown] cell="real-text"
# ## A whole network, real data
# The activity network of labs 02 and 04, on real recordings of a watch; three people whom it never met are the test. Each
# format gets the scales of smallest squared error, one for each channel, and no training. Activations have 8 bits.

# %% cell="real"
model, card = models.pretrained("har-cnn", "watch")
data = motion.load("watch")
people, strangers = data.only(data.split != "test"), data.part("test")
learn_x, learn_y = card.prepare(people.x), torch.from_numpy(people.y)
test_x, test_y = card.prepare(strangers.x), torch.from_numpy(strangers.y)
answers = predict(model, test_x)


def prepared(weights, **options):
    network = prepare(model, Scheme(weights, **options))
    calibrate(network, learn_x[::10])
    return network


# %% cell="ptq"
formats = {
    "uniform": Int,
    "power of two": PowerOfTwo,
    "additive": AdditivePowerOfTwo,
    "two steps": TwoStep,
}
print(f"float: {(answers == test_y).float().mean():.1%} right")
agreement = {}
for name, format in formats.items():
    for bits in (3, 4, 5):
        given = predict(prepared(format(bits), weight_scale="mse"), test_x)
        right, same = ((given == y).float().mean().item() for y in (test_y, answers))
        agreement[name, bits] = same
        print(f"{name:13} {bits} bits: {right:.1%} right, {same:.1%} as the float network")

# %% cell="ptq-figure"
fig, ax = plt.subplots(figsize=(6, 2.8))
looks = zip(formats, "sod^", (style.OTHER, style.OURS, style.RIGHT, style.GHOST))
for name, marker, color in looks:
    ax.plot(
        (3, 4, 5),
        [100 * agreement[name, b] for b in (3, 4, 5)],
        marker,
        ls="-",
        color=color,
        label=name,
    )
ax.set(xlabel="bits, no training", xticks=(3, 4, 5), ylabel="answers as before (%)")
_ = ax.legend()

# %% [markdown] cell="ptq-observe"
# Being right on three people is a blunt measure: it wanders by two points either way, and some coarse networks come out ahead by
# luck. Agreement with the float network is sharper, and it repeats what the decibels said: at 3 bits the formats are alike, and
# from 4 to 5 bits a power of two gains nothing (two steps even lose).

# %% [markdown] cell="qat-text"
# ## Training repairs it
# Quantization-aware training as in lab 04: round in the forward pass, let the gradient through, learn the scales too (LSQ). The
# same code serves every format, because a format is nothing but its integer codes. Three epochs, some seconds each.

# %% cell="qat"
trained = {}
for name in ("power of two", "two steps"):
    network = prepared(formats[name](4), weight_scale="lsq")
    before = (predict(network, test_x) == test_y).float().mean()
    fit(network, (learn_x, learn_y), None, Recipe(epochs=3, batch_size=64, learning_rate=1e-3))
    after = (predict(network, test_x) == test_y).float().mean()
    trained[name] = network
    print(f"{name}, 4 bits: {before:.1%} before, {after:.1%} after training")

# %% [markdown] cell="integer-text"
# ## No weight is multiplied
# `IntegerNetwork` runs what you trained with whole numbers only. Its sums come in two kinds: with products, and with shifts and
# additions (`labkit/quantization/integer/shifts.py`; a guard like yours watches it in the tests). Do all answers agree, digit
# for digit?

# %% cell="integer"
network = IntegerNetwork.of(trained["power of two"], test_x[:1])
window = test_x[:200].numpy()
with_products = network.run(window)
with_shifts = network.run(window, arithmetic="shift")
print(f"{(with_products != with_shifts).sum()} of {with_shifts.size:,} outputs differ")
layers = [layer for layer in network.workload.layers if layer.macs]
outputs = sum(int(np.prod(layer.out_shape)) for layer in layers)
print(f"{network.workload.macs:,} products of weights became shifts")
print(f"{outputs:,} multiplications are left: one for each output, by its scale")

# %% [markdown] cell="own-text"
# And with *your* dot product: the last layer of the trained network, for one real window, on the machine without a multiplier.
# Its sums must equal those of the integer kernel.

# %% cell="own"
last = network.operations[-1]
codes = network.tensors(window[:1])[last.inputs[0]]
zero_point = network.grids[last.inputs[0]].zero_point
sums = kernels.linear(codes, last.weight, zero_point=zero_point)[0]
with check.needs("2"):
    ((sign, exponent),) = shifts.powers(last.weight)
    inputs = (codes[0] - zero_point).tolist()
    mine = [on_the_machine(shift_dot, s, e, inputs)[0] for s, e in zip(sign, exponent)]
    print("yours   ", mine)
    print("kernel  ", sums.tolist())
    print("it says:", card.labels[int(np.argmax(mine + last.bias))])

# %% [markdown] cell="cost-text"
# ## Who gains?
# Now the price. The same inner loops in C for three cores, executed in an emulator, instruction by instruction: a Cortex-M4,
# which multiplies two pairs in a cycle; an M0+, which needs one cycle; an M0+ with the small multiplier, which needs 32. And
# the energy of the arithmetic in a circuit of one's own.

# %% cell="cost-figure"
kinds = {"int8": style.OTHER, "int4": style.GHOST, "power-of-two": style.OURS}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), width_ratios=(3, 1))
for shift, (kind, color) in enumerate(kinds.items()):
    cycles = [inner_loops.cycles_per_mac(core, kind) for core in inner_loops.CORES]
    for ax, costs in ((left, cycles), (right, [inner_loops.energy_pj(kind)])):
        spread = np.array([[c.mid - c.low, c.high - c.mid] for c in costs]).T
        where = np.arange(len(costs)) + (shift - 1) * 0.26
        ax.bar(where, [c.mid for c in costs], 0.24, yerr=spread, color=color, label=kind, capsize=3)
left.set(xticks=range(3), xticklabels=inner_loops.CORES, ylabel="cycles per MAC, estimated")
right.set(xticks=[0], xticklabels=["45 nm circuit"], ylabel="pJ per MAC, estimated")
_ = left.legend()

# %% cell="reveal-m4"
int8, power = (inner_loops.cycles_per_mac("M4", kind) for kind in ("int8", "power-of-two"))
print(f"Cortex-M4: int8 {int8}, power of two {power} cycles per MAC")
on_m4.reveal(round(int8.mid / power.mid, 2))
print(inner_loops.inner_loop("M4", "power-of-two").source)

# %% [markdown] cell="cost-observe"
# **On an M4 shifts are several times slower.** It multiplies in one cycle; taking a code apart, shifting and adding takes many
# instructions. The codes are int8 numbers anyway, up to ±64: unpack them, multiply, and keep the memory of 4 bits. Shifts pay
# where multipliers are slow, or in a circuit of your own; the addition stays, and fetching the weight is not even counted here.

# %% [markdown] cell="paper-text"
# ## The paper says, measured here
# Two tasks, real recordings, people in no training. Three float networks of different seeds, each trained on in every format for
# equally many epochs (int8 needs none). A circle is a seed, the bar their mean, the band three points. Made by `labkit train
# quantization-table`; the lab reads its table.

# %% cell="paper-figure"
from labkit.recipes import quantization

table = json.loads(quantization.TABLE.read_text(encoding="utf-8"))
shown = [
    "float, trained on",
    "int8, post-training",
    "int4",
    "power of two, 4 bits",
    "additive power of two, 4 bits",
    "two-step power of two, 4 bits",
]


tasks = {
    task: about
    for task, about in table["data"].items()
    if set(shown) <= {row["method"] for row in table["rows"] if row["task"] == task}
}


# %% cell="paper-differences"
def points_to_float(task, method):
    """Accuracy of every seed minus that of its float network, in points."""
    score = {(r["method"], r["seed"]): r["accuracy"] for r in table["rows"] if r["task"] == task}
    return [100 * (score[m, seed] - score["float", seed]) for m, seed in score if m == method]


fig, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 2.8))
for ax, task in zip(axes, tasks):
    for row, method in enumerate(shown):
        differences = points_to_float(task, method)
        ax.plot(differences, [row] * len(differences), "o", color=style.MEASURED, mfc="none")
        ax.plot(np.mean(differences), row, "|", color=style.OURS, ms=16, mew=3)
    ax.axvline(0, color=style.GHOST, lw=1)
    ax.axvspan(-3, 0, color=style.GHOST, alpha=0.2)
    ax.set(xlabel="points against float, three seeds", title=task)
axes[0].set(yticks=range(len(shown)), yticklabels=shown, ylim=(len(shown) - 0.5, -0.5))
for task, about in tasks.items():
    print(f"{task}: {about}")

# %% cell="paper-table"
published = [
    ("DeepShift-Q, ResNet-20, CIFAR-10", 91.79, 89.85),
    ("APoT 4 bits, ResNet-20, CIFAR-10", 92.96, 92.45),
    ("APoT 3 bits, ResNet-20, CIFAR-10", 92.96, 92.49),
    ("APoT 2 bits, ResNet-20, CIFAR-10", 92.96, 90.96),
]
measured = []
for task in tasks:
    found = quantization.summaries(table["rows"], task)
    pairs = [(method, found["float"], found[method]) for method in shown[3:]]
    measured += [(f"here: {m}, {task}", *(100 * x["accuracy"] for x in both)) for m, *both in pairs]
for name, floating, powers in published + measured:
    print(f"{name:50} {floating:.2f} % -> {powers:.2f} %  ({powers - floating:+.2f})")
print("Avila et al., spoken commands: 98.76 %, comparable to float (abstract only)")

# %% [markdown] cell="paper-observe"
# Other data and other networks, so compare only differences; and fairly: *float, trained on* had the same additional epochs
# without any rounding. Where three seeds spread wider than two formats differ, the formats cannot be told apart. ResNet-20 has
# 270,000 parameters, our keyword network 22,604: a small network has less to give away.

# %% [markdown] cell="reflect-text"
# ## Reflect
# Your next product is an ear tag for cattle with an M0+ and the small multiplier; the one after that has an M4. Which weights
# does each get, and what would you tell someone who wants power-of-two weights "because they are fast"? Change the choice
# below; later labs read it.

# %% cell="reflect"
choice = {"weights": "power-of-two", "core": "M0+ slow"}
gain = {
    kind: inner_loops.cycles_per_mac(choice["core"], kind).mid
    for kind in ("int8", choice["weights"])
}
ledger.record("05", **choice, bits=4, times_faster=gain["int8"] / gain[choice["weights"]])
ledger.read("05")
