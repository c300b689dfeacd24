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
# # 11 · Analog memory that forgets
#
# **Goal.** Put a trained network into an analog memory, where the weights themselves multiply; watch it forget; bring it back
# with one number a layer; and say what the converters around it cost.
#
# **Time.** 45 minutes. **You need** labs 02 and 03: the activity network, and what a MAC is.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch

import labkit
from labkit import analog, explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion
from labkit.hardware.analog_memory import utilisation
from labkit.hardware.pcm import PCM
from labkit.recipes.analog import TIMES_S, Table
from labkit.training import predict

style.use()
torch.set_num_threads(1)
rng = np.random.default_rng(11)
HOUR, DAY, MONTH = 3600.0, 86_400.0, 2_592_000.0

# %% [markdown] cell="idea-text"
# ## A memory that multiplies
# In a *crossbar*, a grid of wires, a weight is a *conductance* $g$: one over a resistance, in siemens (S). A voltage $x$ on it
# drives the current $g \cdot x$ (Ohm); currents that meet add (Kirchhoff): a dot product, where the weights lie. Here they
# are phase-change memory (PCM), glass partly crystallised. And glass relaxes.

# %% [markdown] cell="predict-text"
# ## Predict first
# A device is programmed, then left alone. Its conductance falls with time as $((t + 20\,\mathrm{s})/20\,\mathrm{s})^{-\nu}$. A
# good device has the *drift exponent* $\nu = 0.05$. An hour later, 77 % are left.

# %% cell="predict-half"
half_left = Prediction(
    "11-half",
    "When is half of it left?",
    options=["after 3 hours", "after a day", "after 8 months", "after 80 years"],
)
half_left

# %% cell="predict-accuracy"
day_later = Prediction(
    "11-day",
    "Digital, the activity network is right on 85 % of windows. In such a memory, a day later?",
    low=0,
    high=100,
    unit="%",
)
day_later

# %% [markdown] cell="pairs-text"
# ## 1 · A weight is two conductances
# A conductance is never negative; a weight can be. So each weight gets two devices, a *differential pair*, whose currents are
# subtracted. A column adds up one output; its largest magnitude becomes 25 µS. By hand, for 1, −2, 0.5: plus 12.5, 0, 6.25 µS;
# minus 0, 25, 0 µS.


# %% cell="ex1-answer" role="answer" exercise="1" hides="analog.crossbar.to_pairs analog.crossbar.from_pairs"
def to_pairs(weights, g_max=25.0):
    """The conductances that store weights, as pairs.

    weights : array or nested list (columns, n): a row of the array is a column of the crossbar.
              The largest magnitude of each becomes g_max
    g_max   : the largest conductance, in µS

    Returns (plus, minus), arrays of the same shape; one of each pair is 0.

    Example: to_pairs([[1, -2, 0.5]]) is ([[12.5, 0, 6.25]], [[0, 25, 0]]).
    Hint: np.max takes axis=1 and keepdims=True; np.maximum(w, 0) keeps what is positive.
    """
    # BEGIN SOLUTION
    weights = np.asarray(weights, dtype=float)
    scaled = g_max * weights / np.abs(weights).max(axis=1, keepdims=True)
    return np.maximum(scaled, 0), np.maximum(-scaled, 0)
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
toy = np.array([[1.0, -2.0, 0.5], [-0.1, 0.02, 0.05]])
check.close(
    "1",
    lambda: to_pairs(toy),
    [[[12.5, 0, 6.25], [0, 5, 12.5]], [[0, 25, 0], [25, 0, 0]]],
    title="two columns, each with its own largest weight: plus, then minus",
)

# %% cell="ex1-check-weights" role="check" exercise="1" points=2
some = np.random.default_rng(1).normal(0, 0.3, (4, 6))
check.value([np.asarray(part) for part in to_pairs(some)])

# %% cell="ex1-check-range" role="check" exercise="1" points=1
check.value([np.asarray(part) for part in to_pairs(-3 * np.abs(some[:2]), g_max=10.0)])


# %% cell="ex1-wrong-offset" role="wrong" exercise="1"
# why: shifts the weights up instead of using a second device
def to_pairs(weights, g_max=25.0):
    weights = np.asarray(weights, dtype=float)
    low, high = weights.min(axis=1, keepdims=True), weights.max(axis=1, keepdims=True)
    return g_max * (weights - low) / (high - low), np.zeros_like(weights)


# %% cell="ex1-wrong-layer" role="wrong" exercise="1"
# why: one scale for all columns
def to_pairs(weights, g_max=25.0):
    scaled = g_max * np.asarray(weights, dtype=float) / np.abs(weights).max()
    return np.maximum(scaled, 0), np.maximum(-scaled, 0)


# %% cell="ex1-wrong-signed" role="wrong" exercise="1"
# why: divides by the largest weight instead of the largest magnitude
def to_pairs(weights, g_max=25.0):
    weights = np.asarray(weights, dtype=float)
    scaled = g_max * weights / weights.max(axis=1, keepdims=True)
    return np.maximum(scaled, 0), np.maximum(-scaled, 0)


# %% cell="currents"
with check.needs("1"):
    voltages = np.array([0.2, 0.1, -0.4])
    plus, minus = to_pairs(toy)
    currents = plus @ voltages - minus @ voltages
    print("currents (µA):      ", currents)
    print("after digital scale:", currents * np.abs(toy).max(axis=1) / 25)
    print("weights @ voltages: ", toy @ voltages)

# %% [markdown] cell="miss-text"
# ## 2 · Programming misses, reading wobbles
# Nobody can set a device exactly, or read it twice alike: that is *read noise*. Both were measured on a chip and published as
# formulas (Nandakumar et al., ICECS 2019); `labkit.hardware.pcm` samples from them, as IBM's aihwkit does. Below, 2,000 devices
# for each of four targets.

# %% cell="miss-figure"
pcm = PCM()
fig, axes = plt.subplots(1, 4, sharey=True, figsize=(9, 2.6))
for ax, target in zip(axes, (1, 5, 12, 25)):
    devices = pcm.program(np.full(2000, float(target)), rng)
    for conductances, colour, when in (
        (devices.programmed_us, style.GHOST, "programmed"),
        (devices.read(DAY), style.OURS, "a day later"),
    ):
        share = conductances / target
        ax.hist(share, np.linspace(0, 2, 81), alpha=0.7, color=colour, label=when)
        print(f"{target:2} µS, {when:11} {share.mean():4.0%} of the target ± {share.std():.0%}")
    ax.set(title=f"{target} µS", xlabel="share of the target")
axes[0].set_ylabel("devices")
_ = axes[0].legend(loc="upper left")

# %% [markdown] cell="miss-observe"
# Two things happened. Every group moved left: *drift*. And, measured by what is left, it became wider: each device has a drift
# exponent of its own, and a read adds noise. A shift that all share can be undone. A width cannot.

# %% [markdown] cell="drift-text"
# ## 3 · The law of forgetting
# Drift is a power of time, counted on a clock that starts 20 s before programming ends: $g(t) = g_0\,((t + 20)/20)^{-\nu}$. A
# power is no exponential: it loses the same share between 1 and 10 hours as between 10 and 100.


# %% cell="ex2-answer" role="answer" exercise="2"
def share_left(seconds, exponent):
    """The share of the programmed conductance that is left.

    seconds  : time since programming, a number or an array
    exponent : ν of the device, a number or an array

    Example: share_left(60, 0.5) is 0.5, because (60 + 20) / 20 = 4.
    """
    # BEGIN SOLUTION
    return ((np.asarray(seconds) + 20.0) / 20.0) ** -np.asarray(exponent)
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
check.close(
    "2",
    lambda: [share_left(60, 0.5), share_left(0, 0.1), share_left(180, 1.0)],
    [0.5, 1.0, 0.1],
    title="four times the clock · no time · ten times the clock",
)
check.close("2", lambda: share_left(np.array([0, 60, 180]), 1.0), [1.0, 0.25, 0.1], title="an array of times")

# %% cell="ex2-check" role="check" exercise="2" points=2
moments = np.array([25.0, HOUR, MONTH])
check.value([np.asarray(share_left(moments, nu)) for nu in (0.03, 0.06, 0.1)])


# %% cell="ex2-wrong-exponential" role="wrong" exercise="2"
# why: decays exponentially, as a radioactive atom would
def share_left(seconds, exponent):
    return np.exp(-np.asarray(exponent) * np.asarray(seconds) / 20.0)


# %% cell="ex2-wrong-clock" role="wrong" exercise="2"
# why: forgets that the clock starts 20 s before
def share_left(seconds, exponent):
    return np.maximum(np.asarray(seconds) / 20.0, 1e-9) ** -np.asarray(exponent)


# %% cell="ex2-wrong-precedence" role="wrong" exercise="2"
# why: divides only the 20 by 20: a pair of brackets is missing
def share_left(seconds, exponent):
    return (np.asarray(seconds) + 20.0 / 20.0) ** -np.asarray(exponent)


# %% cell="ex2-wrong-straight" role="wrong" exercise="2"
# why: the straight line 1 − ν ln((t + 20) / 20), right for the first minutes only
def share_left(seconds, exponent):
    return 1 - np.asarray(exponent) * np.log((np.asarray(seconds) + 20.0) / 20.0)


# %% [markdown] cell="half-text"
# Now turn the law around: after how many seconds is a given share left? Solve it for $t$ on paper before you type. Mind the 20 s
# between the two clocks: after no time at all, everything is left.


# %% cell="ex3-answer" role="answer" exercise="3"
def seconds_until(share, exponent):
    """Seconds after programming until `share` of the conductance is left.

    share    : above 0, up to 1, for instance 0.5
    exponent : ν, greater than 0

    Example: seconds_until(0.5, 0.5) is 60.
    """
    # BEGIN SOLUTION
    return 20.0 * (share ** (-1.0 / exponent) - 1.0)
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
check.close(
    "3",
    lambda: [seconds_until(0.5, 0.5), seconds_until(1.0, 0.05), seconds_until(0.1, 1.0)],
    [60, 0, 180],
    title="the examples of exercise 2, backwards",
)

# %% cell="ex3-check" role="check" exercise="3" points=2
check.value([float(seconds_until(s, nu)) for s in (0.9, 0.5) for nu in (0.05, 0.07, 0.1)])


# %% cell="ex3-wrong-clock" role="wrong" exercise="3"
# why: gives the time on the clock of the law, 20 s too late
def seconds_until(share, exponent):
    return 20.0 * share ** (-1.0 / exponent)


# %% cell="ex3-wrong-log" role="wrong" exercise="3"
# why: inverts an exponential instead of a power
def seconds_until(share, exponent):
    return -20.0 * np.log(share) / exponent


# %% cell="ex3-wrong-root" role="wrong" exercise="3"
# why: takes the power ν where the root is needed
def seconds_until(share, exponent):
    return 20.0 * (share**-exponent - 1.0)


# %% cell="ex3-wrong-half" role="wrong" exercise="3"
# why: always the time until half is left
def seconds_until(share, exponent):
    return 20.0 * (2.0 ** (1.0 / exponent) - 1.0)


# %% cell="half-reveal"
with check.needs("3"):
    for exponent in (0.05, 0.1):
        print(f"ν = {exponent}: half is left after {seconds_until(0.5, exponent) / DAY:,.2f} days")
half_left.reveal("after 8 months")

# %% cell="drift-figure"
with check.needs("2"):
    times = np.geomspace(1, 3.2e7, 60)
    share_left(times, 0.05)  # before an empty figure is drawn
    fig, ax = plt.subplots(figsize=(7, 3))
    for target, colour in ((25.0, style.OURS), (1.0, style.OTHER)):
        devices = pcm.program(np.full(300, target), rng)
        start = devices.programmed_us.mean()
        kept = [devices.read(t).mean() / start for t in times]
        ax.semilogx(times, kept, "o", ms=3, color=colour, label=f"{target:g} µS, mean of 300")
        exponent = devices.exponent.mean()
        ax.semilogx(times, share_left(times, exponent), color=colour, label=f"ν = {exponent:.3f}")
    ax.set(xlabel="seconds after programming", ylabel="share left", ylim=(0, 1.05))
    ax.legend(ncols=2)

# %% [markdown] cell="drift-observe"
# Weak conductances drift faster than strong ones and scatter more: a network does not only fade, its small weights fade first.
# The orange dots lie above their line because the mean of powers is not the power of the mean: devices with a small $\nu$
# remember for the others.

# %% [markdown] cell="network-text"
# ## 4 · A real network forgets
# `analog.program` writes every convolution and linear layer into such devices. Inputs become voltages in a digital-to-analog
# converter (DAC), currents become numbers in an analog-to-digital one (ADC), 8 bits each; the rest stays digital. The data are
# lab 02's watch recordings, of three people in no training.

# %% cell="network"
network, card = models.pretrained("har-cnn", "watch")
watch = motion.load("watch")
people = watch.part("test")
x, y = card.prepare(people.x), people.y
calibration = card.prepare(watch.part("train").x[::20])
programmed = analog.program(network, calibration, analog.Crossbar(dac_bits=8, adc_bits=8), seed=0)
print(f"digital: {np.mean(predict(network, x).numpy() == y):.1%} of {len(y)} windows")


# %% cell="network-times"
def accuracy(seconds, compensation=None):
    return np.mean(predict(programmed.at(seconds, compensation), x).numpy() == y)


for name, seconds in TIMES_S.items():
    print(f"{name:9} {accuracy(seconds):6.1%}")
day_later.reveal(round(100 * accuracy(DAY)))

# %% [markdown] cell="network-observe"
# After a day a third of the conductance is gone, and with it four in ten of the right answers. The sums shrink, but bias and
# batch norm are digital and expect them as large as before. Each layer hands the next one less than it was trained for, and the
# errors multiply.

# %% [markdown] cell="compensate-text"
# ## 5 · One number a layer
# The remedy is cheap. After programming, send known inputs through a layer and keep the mean magnitude of what comes out. Later
# do it again. The ratio says how much the layer has faded; multiply its outputs with it, digitally. This is *global drift
# compensation* (Joshi et al., 2020).


# %% cell="ex4-answer" role="answer" exercise="4" hides="analog.crossbar.global_drift_compensation"
def drift_factor(before, now):
    """What to multiply a layer's outputs with.

    before : the layer's outputs for known inputs right after programming, both signs: array or list
    now    : its outputs for the same inputs now

    Returns one number: mean magnitude before over mean magnitude now.

    Example: drift_factor([4, -2], [3, -1]) is 1.5.
    """
    # BEGIN SOLUTION
    return np.mean(np.abs(before)) / np.mean(np.abs(now))
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
faded = np.array([5.0, -5.0, 1.0, -0.5])
check.close("4", lambda: drift_factor([4, -2], [3, -1]), 1.5, title="two outputs")
check.close("4", lambda: drift_factor(faded, 0.6 * faded), 1 / 0.6, title="a layer that kept 60 % of itself")

# %% cell="ex4-check" role="check" exercise="4" points=3
before = np.random.default_rng(4).normal(0, 6, 500)
now = 0.7 * before + np.random.default_rng(5).normal(0, 0.5, 500)
check.value([float(drift_factor(before, now)), float(drift_factor(before - 5, now - 3))])


# %% cell="ex4-wrong-mean" role="wrong" exercise="4"
# why: means without magnitudes: both signs cancel
def drift_factor(before, now):
    return np.mean(before) / np.mean(now)


# %% cell="ex4-wrong-inverse" role="wrong" exercise="4"
# why: the wrong way round: makes a faded layer fainter
def drift_factor(before, now):
    return np.mean(np.abs(now)) / np.mean(np.abs(before))


# %% cell="ex4-wrong-ratios" role="wrong" exercise="4"
# why: the mean of ratios, which a single output near 0 ruins
def drift_factor(before, now):
    return np.mean(np.abs(np.asarray(before) / np.asarray(now)))


# %% cell="ex4-wrong-squares" role="wrong" exercise="4"
# why: root mean squares instead of mean magnitudes
def drift_factor(before, now):
    return np.sqrt(np.mean(np.square(before)) / np.mean(np.square(now)))


# %% cell="compensate-times"
with check.needs("4"):
    for name, seconds in TIMES_S.items():
        without, with_it = accuracy(seconds), accuracy(seconds, drift_factor)
        print(f"{name:9} {without:6.1%} without, {with_it:6.1%} with one factor a layer")

# %% [markdown] cell="explorer-text"
# ## 6 · Move it yourself
# The explorer runs your `drift_factor`. Questions first. (a) Without compensation, which movement does everybody end up doing,
# and from when on? (b) With it, what is still wrong in the map of weights after a year? (c) From 8 to 4 bits: what happens to the
# accuracy, what to the energy?

# %% cell="explorer"
explorers.DriftExplorer(compensation=drift_factor)

# %% [markdown] cell="energy-text"
# ## 7 · What it costs
# AnalogNets (arXiv:2111.06503; IEEE Micro) is two networks and a chip, one array of PCM in 14 nm. With 8-bit ADCs it reaches 8.55
# TOPS/W on keywords, 4.34 on images: tera-operations per second and watt. A watt is a joule a second, so these are operations per
# picojoule. A MAC is two: product and sum.


# %% cell="ex5-answer" role="answer" exercise="5"
def inference_uj(macs, tops_per_watt):
    """Energy of one inference, in µJ.

    macs          : multiply-accumulates; each counts as two operations
    tops_per_watt : 10¹² operations per second and watt

    Example: inference_uj(5e6, 10) is 1.0.
    """
    # BEGIN SOLUTION
    return 2 * macs / (tops_per_watt * 1e12) * 1e6
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
check.close(
    "5",
    lambda: [inference_uj(5e6, 10), inference_uj(5e5, 1), inference_uj(0, 8.55)],
    [1.0, 1.0, 0.0],
    title="five million MACs at 10 TOPS/W · a tenth of both · nothing",
)

# %% cell="ex5-check" role="check" exercise="5" points=2
check.value([float(inference_uj(macs, tops)) for macs in (223_680, 2_656_768) for tops in (4.34, 56.67)])


# %% cell="ex5-wrong-one" role="wrong" exercise="5"
# why: counts a MAC as one operation
def inference_uj(macs, tops_per_watt):
    return macs / (tops_per_watt * 1e12) * 1e6


# %% cell="ex5-wrong-units" role="wrong" exercise="5"
# why: gives picojoules
def inference_uj(macs, tops_per_watt):
    return 2 * macs / tops_per_watt


# %% cell="ex5-wrong-upside-down" role="wrong" exercise="5"
# why: multiplies with the efficiency instead of dividing by it
def inference_uj(macs, tops_per_watt):
    return 2 * macs * tops_per_watt * 1e-6


# %% cell="ex5-wrong-fixed" role="wrong" exercise="5"
# why: the 10 TOPS/W of the example, whatever is given
def inference_uj(macs, tops_per_watt):
    return 2 * macs / (10 * 1e12) * 1e6


# %% cell="bits-text-figures"
table = Table()  # labkit train analog-table
keywords = labkit.trace(*models.build("ds-cnn"), name="DS-CNN")
print("bits   DS-CNN, an inference        accuracy after 24 hours, 12 arrays")
for bits in (8, 6, 4):
    energy = labkit.device("pcm-cim", adc_bits=bits).estimate(keywords).energy_uj
    a_day = 100 * table.arrays("keywords", "with noise", bits)[:, list(TIMES_S).index("24 hours")]
    print(f"{bits:4}   {energy!s:25} µJ   {a_day.mean():.1f} ± {a_day.std(ddof=1):.1f} %")

# %% cell="bits-own"
with check.needs("5"):
    macs = keywords.macs
    low, high = (inference_uj(macs, tops) for tops in (8.55, 4.34))
    print(f"by your function, 8 bits, if no cell is wasted: {low:.2f} to {high:.2f} µJ")

# %% [markdown] cell="bits-observe"
# An estimate stands before its 80 % interval; ± is the standard deviation over arrays. With half of the bits the chip takes a
# sixth of the energy: converters, not memory, draw most of it. But why does the device ask for so much more than your formula?

# %% cell="depthwise"
for layer in keywords.layers[:3]:
    rows, columns = layer.weights_per_channel * layer.groups, layer.out_channels
    print(f"{layer.op:9} {rows:4} rows × {columns} columns, {utilisation(layer):.1%} hold a weight")
print(labkit.device("pcm-cim").estimate(keywords))

# %% [markdown] cell="depthwise-observe"
# A depthwise layer is a crossbar's enemy. Each of its 64 columns listens to 9 rows of its own, so its weights stand on the
# diagonal of a block of 576 × 64 cells. All are driven, and the empty ones add their noise. AnalogNets leaves such layers out.

# %% [markdown] cell="train-text"
# ## 8 · Train for it
# What compensation cannot mend, training can soften: with noise on the weights at every step, a network settles where noise hurts
# less (Joshi et al.). `labkit train ds-cnn-mini-analog` trains on so for ten epochs, beside the old network's answers. `labkit
# train analog-table` measured three networks, four arrays each, 589 real clips of unseen people.

# %% cell="train-figure"
looks = {
    "as it was, no compensation": ("as it was", False, style.WRONG),
    "as it was, compensated": ("as it was", True, style.OTHER),
    "trained with noise, compensated": ("with noise", True, style.OURS),
}
fig, ax = plt.subplots(figsize=(8, 3.4))
for label, (trained, compensated, colour) in looks.items():
    arrays = 100 * table.arrays("keywords", trained, compensated=compensated)
    line = {"fmt": "o-", "capsize": 3, "color": colour, "label": label}
    ax.errorbar(TIMES_S.values(), arrays.mean(axis=0), arrays.std(axis=0, ddof=1), **line)
ax.axhline(100 * table.digital("keywords"), color=style.MEASURED, ls="--", lw=1, label="digital, as it was")
ax.set(xscale="log", ylim=(0, 100), ylabel="accuracy (%)", xlabel="time since programming")
ax.set_xticks(list(TIMES_S.values()), TIMES_S)
ax.minorticks_off()
_ = ax.legend(loc="center right")

# %% [markdown] cell="paper-text"
# ## 9 · The paper says, measured here
# AnalogNets reports keywords with 8-bit converters on a calibrated simulator and on real hardware. Here: a simulator, a network
# with depthwise layers, a small data set. Loss is accuracy before minus after, in points.


# %% cell="paper-table"
def loss(task, trained):
    after = table.arrays(task, trained)[:, list(TIMES_S).index("24 hours")]
    return f"{100 * (table.digital(task, trained) - after.mean()):.1f} points"


print("8 bits, after 24 hours                     the paper    here")
print(f"keywords, trained for it                   0.8 points   {loss('keywords', 'with noise')}")
print(f"keywords, as it was                        –            {loss('keywords', 'as it was')}")
print(f"activities (no depthwise), trained for it  –            {loss('activities', 'with noise')}")

# %% [markdown] cell="paper-observe"
# With depthwise layers we lose five times what the paper reports; without them, on another and easier task, about as much. That
# fits the paper's advice, but proves nothing: its training also knows the converters, ours only the noise. And part of the gain
# in the figure is ten more epochs: digital, that network is 1.6 points better too.

# %% [markdown] cell="reflect-text"
# ## Reflect
# A sensor in a bridge decides once a minute for ten years. Would you put its network into analog memory? What would you do about
# drift, how many bits would the converters get, and which number of this lab decided it? Write your choice into the ledger.

# %% cell="reflect"
choice = {"network": "har-cnn", "converter_bits": 6, "compensate": True, "train_with_noise": True}
price = labkit.device("pcm-cim", adc_bits=choice["converter_bits"]).estimate(labkit.trace(*models.build(choice["network"])))
ledger.record("11", **choice, energy_uj=price.energy_uj.mid, fits=price.fits)
ledger.read("11")
