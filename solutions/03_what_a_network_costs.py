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
# # 03 · What a network costs
#
# **Goal.** Given a network, say what it costs on a chip before anyone buys the chip: time, energy, memory, days on a battery. And
# say how wrong that may be.
#
# **Time.** 45 minutes. **You need** lab 01 or 02: you know what a convolution is, and you met DS-CNN or the activity network.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style

style.use()

# %% [markdown] cell="predict-depthwise"
# ## Predict first
# DS-CNN, the keyword network of the MLPerf Tiny benchmark, has 2.66 million multiply-accumulates (MACs). Its depthwise
# convolutions do 11 % of them. Commit to a number before you read on; you will see it again.

# %% cell="predict-depthwise-card"
depthwise_share = Prediction(
    "03-depthwise",
    "DS-CNN on a Cortex-M4: what share of the time goes into the depthwise layers?",
    low=0,
    high=100,
    unit="%",
)
depthwise_share

# %% [markdown] cell="macs-toy"
# ## 1 · MACs: what arithmetic there is
# Slide a kernel of 3 over a signal with 2 channels, and let 3 filters listen. Each filter computes a dot product of 2 × 3 numbers
# at each of 4 places. Count with a pencil: 3 filters × 4 places × 6 products = 72 MACs. Now write the rule down, so that it also
# holds for pictures (two sizes instead of one) and for groups, where a filter hears only its own share of the channels.


# %% cell="ex1-answer" role="answer" exercise="1" hides="layer.Layer.macs layer.Layer.weights_per_channel"
def conv_macs(channels_in, out_shape, kernel, groups=1):
    """Multiply-accumulates of a convolution.

    channels_in : channels of the input
    out_shape   : (channels, length) or (channels, height, width) of the output
    kernel      : (length,) or (height, width)
    groups      : each filter reads channels_in / groups channels; depthwise: groups = channels_in

    Example: conv_macs(2, (3, 4), (3,)) is 72.
    Hint: one output number is one dot product. How long is it? How many outputs? np.prod helps.
    """
    # BEGIN SOLUTION
    dot_product = channels_in // groups * np.prod(kernel)
    return int(dot_product * np.prod(out_shape))
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
by_hand = [72, 72 * 4, 24, 2 * 3 * 3 * 5 * 5, 2 * 3 * 6 * 4]
check.close(
    "1",
    lambda: [
        conv_macs(2, (3, 4), (3,)),
        conv_macs(8, (3, 4), (3,)),
        conv_macs(2, (2, 4), (3,), groups=2),
        conv_macs(2, (1, 5, 5), (3, 3)),
        conv_macs(4, (6, 4), (3,), groups=2),
    ],
    by_hand,
    title="toy · 4 × the inputs · depthwise · picture · 2 groups",
)

# %% cell="ex1-check-network" role="check" exercise="1" points=2
check.value(
    [
        conv_macs(1, (64, 25, 5), (10, 4)),
        conv_macs(64, (64, 25, 5), (3, 3), groups=64),
        conv_macs(64, (64, 25, 5), (1, 1)),
    ]
)

# %% cell="ex1-check-groups" role="check" exercise="1" points=1
check.value([conv_macs(24, (48, 31), (9,), groups=g) for g in (1, 2, 3, 8, 24)])


# %% cell="ex1-wrong-groups" role="wrong" exercise="1"
# why: forgets the groups
def conv_macs(channels_in, out_shape, kernel, groups=1):
    return int(channels_in * np.prod(kernel) * np.prod(out_shape))


# %% cell="ex1-wrong-square" role="wrong" exercise="1"
# why: takes every kernel for a square one
def conv_macs(channels_in, out_shape, kernel, groups=1):
    return int(channels_in // groups * kernel[0] ** len(kernel) * np.prod(out_shape))


# %% cell="ex1-wrong-places" role="wrong" exercise="1"
# why: counts the places but not the filters
def conv_macs(channels_in, out_shape, kernel, groups=1):
    return int(channels_in // groups * np.prod(kernel) * np.prod(out_shape[1:]))


# %% [markdown] cell="trace-text"
# `labkit.trace` does the same counting on a real network. It runs the module once, watches every operation, and writes a record
# for each one that costs something. ReLU and batch norm vanish: on a microcontroller they fold into the convolution before them.

# %% cell="trace"
model, example = models.build("ds-cnn")
ds_cnn = labkit.trace(model, example, name="DS-CNN")
print(f"{ds_cnn.macs:,} MACs, {ds_cnn.params:,} parameters")
print(f"{ds_cnn.weight_bytes:,} bytes of int8 weights and int32 biases")

# %% cell="trace-figure"
names = [f"{layer.op} {i}" for i, layer in enumerate(ds_cnn.layers)]
fig, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6))
left.barh(names, [layer.macs / 1e3 for layer in ds_cnn.layers], color=style.OURS)
left.set(xlabel="thousand MACs", title="work")
right.barh(names, [layer.weight_bytes / 1024 for layer in ds_cnn.layers], color=style.OTHER)
right.set(xlabel="KiB of weights", title="flash")
left.invert_yaxis()

# %% [markdown] cell="trace-observe"
# The 1×1 convolutions ("pointwise") do 77 % of the work and hold most of the weights. The depthwise layers between them look
# nearly free. Keep your prediction in mind.

# %% [markdown] cell="memory-text"
# ## 2 · Memory: the widest moment
# Weights sit in flash. Activations need RAM, but not all at once: a tensor can be thrown away after its last reader. What counts
# is the worst step. While a layer runs, its inputs, its output, and everything somebody still needs later are alive together.


# %% cell="ex2-answer" role="answer" exercise="2" hides="workload.liveness workload.Workload.memory_profile"
def peak_bytes(sizes, last_read):
    """The most bytes alive at once while a network runs.

    sizes     : bytes of each tensor. Tensor 0 is the input; step i (from 1) writes tensor i
    last_read : the last step that reads each tensor (nobody reads the output: its own step)

    Example: peak_bytes([40, 80, 10], [1, 2, 2]) is 120: in step 1, the input and tensor 1.
    Hint: tensor i is alive in the steps from i (the input: from step 1) to last_read[i].
    """
    # BEGIN SOLUTION
    steps = range(1, len(sizes))
    return max(sum(s for i, s in enumerate(sizes) if i <= step <= last_read[i]) for step in steps)
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
shortcut = ([40, 40, 80, 40, 40], [4, 2, 3, 4, 4])  # step 4 adds the input to tensor 3
check.close(
    "2",
    lambda: [peak_bytes([40, 80, 10], [1, 2, 2]), peak_bytes(*shortcut)],
    [120, 160],
    title="a chain · the same with a shortcut from the input to the end",
)

# %% cell="ex2-check-chain" role="check" exercise="2" points=1
check.value(
    [peak_bytes([490, 8000, 8000, 8000, 64, 12], [1, 2, 3, 4, 5, 5]), peak_bytes([7, 3], [1, 1])]
)

# %% cell="ex2-check-shortcut" role="check" exercise="2" points=2
check.value(peak_bytes([3072, 16384, 16384, 16384, 16384, 8192], [1, 4, 3, 4, 5, 5]))


# %% cell="ex2-wrong-largest" role="wrong" exercise="2"
# why: the largest tensor, although an output cannot overwrite its own input
def peak_bytes(sizes, last_read):
    return max(sizes)


# %% cell="ex2-wrong-pairs" role="wrong" exercise="2"
# why: input and output only, and forgets what a shortcut keeps alive
def peak_bytes(sizes, last_read):
    return max(a + b for a, b in zip(sizes, sizes[1:]))


# %% cell="ex2-wrong-sum" role="wrong" exercise="2"
# why: never frees anything
def peak_bytes(sizes, last_read):
    return sum(sizes)


# %% cell="memory-figure"
fig, ax = plt.subplots(figsize=(9, 2.4))
for name in ("ds-cnn", "resnet8", "tc-resnet8"):
    workload = labkit.trace(*models.build(name))
    peak = workload.peak_activation_bytes / 1024
    label = f"{name}: {workload.params:,} parameters, peak {peak:.1f} KiB"
    ax.stairs(workload.memory_profile / 1024, np.arange(len(workload) + 1) + 0.5, label=label, lw=2)
ax.set(xlabel="step", ylabel="KiB alive", title="activation memory while a network runs")
_ = ax.legend()

# %% [markdown] cell="memory-observe"
# ResNet-8 needs its peak where a shortcut must wait for two convolutions. TC-ResNet8 has three times the weights of DS-CNN and a
# third of its peak: flash and RAM are two budgets, and either one can say no.

# %% [markdown] cell="roofline-text"
# ## 3 · The roofline: two ways to be slow
# A core can be slow because it multiplies slowly or because it waits for bytes. The *intensity* of a layer is its MACs per byte
# moved. Low intensity: the memory decides. High intensity: the multiplier decides. The roofline is the lower of the two
# (Williams et al., CACM 2009).


# %% cell="ex3-answer" role="answer" exercise="3"
def roofline(intensity, peak, bandwidth):
    """The MACs per cycle that a layer could reach at best.

    intensity : MACs per byte moved, a number or an array
    peak      : MACs per cycle the arithmetic can do
    bandwidth : bytes per cycle the memory can move

    Example: roofline(0.25, peak=2, bandwidth=4) is 1.0, and roofline(10, peak=2, bandwidth=4) is 2.0.
    """
    # BEGIN SOLUTION
    return np.minimum(peak, np.asarray(intensity) * bandwidth)
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
five = np.array([0.1, 0.25, 0.5, 1, 10])
check.close(
    "3", lambda: roofline(five, peak=2, bandwidth=4), [0.4, 1, 2, 2, 2], title="five intensities"
)
check.close("3", lambda: roofline(10, peak=2, bandwidth=4), 2, title="one number")

# %% cell="ex3-check" role="check" exercise="3" points=2 rtol=1e-6
check.value(roofline(np.geomspace(0.01, 100, 9), peak=1.5, bandwidth=0.7))


# %% cell="ex3-wrong-max" role="wrong" exercise="3"
# why: takes the higher of the two roofs
def roofline(intensity, peak, bandwidth):
    return np.maximum(peak, np.asarray(intensity) * bandwidth)


# %% cell="ex3-wrong-divide" role="wrong" exercise="3"
# why: divides by the bandwidth, so that faster memory makes a layer slower
def roofline(intensity, peak, bandwidth):
    return np.minimum(peak, np.asarray(intensity) / bandwidth)


# %% [markdown] cell="roofline-network-text"
# Now the layers of DS-CNN under the roof of a Cortex-M4: its SMLAD instruction does two MACs in a cycle and its bus loads four
# bytes in one (Arm, *Cortex-M4 Technical Reference Manual*). The dots are what our latency model, fitted to published
# measurements, says that real code reaches.

# %% cell="roofline-cycles"
board = labkit.device("nucleo-l4r5zi")
cost = board.estimate(ds_cnn)
cycles = np.array([layer.latency_ms for layer in cost.layers]) * board.clock_mhz * 1e3
macs = np.array([layer.macs for layer in ds_cnn.layers])
moved = np.array([np.prod(x.in_shape) + x.weight_bytes + x.out_bytes for x in ds_cnn.layers])

# %% cell="roofline-figure"
with check.needs("3"):
    intensity = np.geomspace(0.2, 50, 100)
    roof = roofline(intensity, peak=2, bandwidth=4)
    fig, ax = plt.subplots()
    ax.loglog(intensity, roof, color=style.MEASURED, label="roof of a Cortex-M4")
    for op, marker in {"conv": "o", "depthwise": "s", "linear": "^"}.items():
        pick = np.array([layer.op == op for layer in ds_cnn.layers])
        ax.loglog((macs / moved)[pick], (macs / cycles)[pick], marker, label=op)
    ax.set(xlabel="MACs per byte moved", ylabel="MACs per cycle", ylim=(0.1, 3))
    ax.legend(loc="lower left")

# %% [markdown] cell="roofline-observe"
# No layer touches the roof. All convolutions lie under its flat part, where multiplying should decide; yet the 1×1 layers reach a
# quarter of it and the depthwise ones a tenth. What is missing is the bookkeeping, once per output number: scale, round, clamp,
# store. A depthwise output has only 9 MACs to share it. (Layers of one shape lie on one dot.)

# %% cell="reveal-depthwise"
depthwise = sum(layer.latency_ms for layer in cost.layers if layer.op == "depthwise")
depthwise_share.reveal(round(100 * depthwise / cost.latency_ms.mid))

# %% [markdown] cell="mislead-text"
# ## 4 · Why MACs mislead
# MLPerf Tiny publishes measured latencies of four networks on many boards: a keyword spotter, an image classifier, a visual wake
# word detector, an anomaly detector. If MACs were time, cycles per MAC would be the same for all four. First you need an honest
# yardstick for "how far off".


# %% cell="ex4-answer" role="answer" exercise="4" hides="hardware.validation.row.Case hardware.validation.row.summarise"
def mape(predicted, measured):
    """Mean absolute percentage error, in percent of what was measured.

    predicted, measured : arrays of the same shape

    Example: mape([90, 220], [100, 200]) is 10.0.
    """
    # BEGIN SOLUTION
    predicted, measured = np.asarray(predicted), np.asarray(measured)
    return 100 * np.mean(np.abs(predicted - measured) / measured)
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
cases_by_hand = [
    ([90, 220], [100, 200]),
    ([3, 3], [3, 3]),
    ([0], [5]),
    ([10, 10, 19], [10, 10, 10]),
]
check.close(
    "4",
    lambda: [mape(np.array(p), np.array(m)) for p, m in cases_by_hand],
    [10, 0, 100, 30],
    title="four cases by hand",
)

# %% cell="ex4-check" role="check" exercise="4" points=2 rtol=1e-6
rng = np.random.default_rng(3)
truth = rng.uniform(1, 100, 40)
check.value([mape(truth * rng.uniform(0.7, 1.4, 40), truth), mape(truth + 5, truth)])


# %% cell="ex4-wrong-signed" role="wrong" exercise="4"
# why: no absolute value, so that errors cancel
def mape(predicted, measured):
    return 100 * np.mean((np.asarray(predicted) - measured) / measured)


# %% cell="ex4-wrong-base" role="wrong" exercise="4"
# why: percent of the prediction instead of the measurement
def mape(predicted, measured):
    predicted, measured = np.asarray(predicted), np.asarray(measured)
    return 100 * np.mean(np.abs(predicted - measured) / predicted)


# %% cell="ex4-wrong-total" role="wrong" exercise="4"
# why: error of the sum, so that large networks drown small ones
def mape(predicted, measured):
    predicted, measured = np.asarray(predicted), np.asarray(measured)
    return 100 * np.abs(predicted - measured).sum() / measured.sum()


# %% [markdown] cell="heldout-text"
# Now the test. For every published Cortex-M4 system: hide one of its four networks, learn from the other three and from other
# submitters' boards, predict the hidden one. Once with MACs alone, once with three numbers: cycles per convolution MAC, cycles
# per MAC of a dense layer, and cycles per output element.

# %% cell="heldout-figure"
from labkit.hardware.validation import cortex_m_heldout as heldout

cases = heldout.latency("M4")
measured, ours, macs_only = np.array([(c.measured, c.predicted, c.baseline) for c in cases]).T
fig, ax = plt.subplots(figsize=(5, 4))
ax.loglog([3, 1000], [3, 1000], color=style.GHOST, lw=1)
ax.loglog(measured, macs_only, "s", color=style.OTHER, mfc="none", label="MACs alone")
ax.loglog(measured, ours, "o", color=style.OURS, label="three terms")
ax.set(xlabel="measured (ms)", ylabel="predicted, never seen (ms)")
ax.set_title(f"{len(cases)} measurements on Cortex-M4")
_ = ax.legend()

# %% cell="heldout-mape"
with check.needs("4"):
    print(f"MACs alone: {mape(macs_only, measured):.0f} % off on average")
    print(f"three terms: {mape(ours, measured):.0f} % off on average")

# %% [markdown] cell="heldout-observe"
# The third term is the bookkeeping you saw under the roof. Within one family of networks MACs rank well enough; across families
# they mislead. The same table for every device, with its worst case: `labkit validate` in a terminal.

# %% [markdown] cell="explorer-text"
# ## 5 · Move it yourself
# Questions first. (a) Halve the width: is the latency halved, or quartered? (b) On nucleo-g0b1re, find a network that
# fits the flash but not the RAM. (c) Which setting changes energy but not latency? The grey ghost is where you were before.

# %% cell="explorer"
explorers.CostExplorer()

# %% [markdown] cell="predict-accelerator-text"
# ## 6 · A chip made for it
# The MAX78000 has 64 small processors beside its Cortex-M4. All 64 work on one pixel at a time and keep the weights next to the
# arithmetic. Commit first:

# %% cell="predict-accelerator-card"
accelerator_gain = Prediction(
    "03-accelerator",
    "TC-ResNet8: how many times less energy on the MAX78000 than on the Cortex-M4?",
    low=1,
    high=1000,
    log=True,
    unit="times",
)
accelerator_gain

# %% cell="accelerator-figure"
networks = [labkit.trace(*models.build(n), name=n) for n in ("ds-cnn", "tc-resnet8", "har-cnn")]
chips = {"Cortex-M4": board, "MAX78000": labkit.device("max78000")}
fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True)
for shift, (chip, device) in zip((-0.1, 0.1), chips.items()):
    estimates = [device.estimate(network) for network in networks]
    for ax, quantity in zip(axes, ("latency_ms", "energy_uj")):
        answers = [getattr(estimate, quantity) for estimate in estimates]
        spread = [[x.mid - x.low for x in answers], [x.high - x.mid for x in answers]]
        middle = [x.mid for x in answers]
        ax.errorbar(middle, np.arange(3) + shift, xerr=spread, fmt="o", capsize=3, label=chip)
axes[0].set(
    xscale="log", xlabel="latency (ms)", yticks=range(3), yticklabels=[n.name for n in networks]
)
axes[1].set(xscale="log", xlabel="energy of one inference (µJ)")
_ = axes[0].legend()

# %% cell="reveal-accelerator"
tc_resnet = networks[1]
on_m4, on_max = (device.estimate(tc_resnet).energy_uj for device in chips.values())
print(f"Cortex-M4 {on_m4} µJ, MAX78000 {on_max} µJ")
accelerator_gain.reveal(round(on_m4.mid / on_max.mid))

# %% [markdown] cell="accelerator-observe"
# Look at DS-CNN again: it gains far less. This chip has no depthwise convolution; such a layer runs as a dense one that
# multiplies mostly zeros. The network that is best for one chip is not best for the other, and MACs did not say so.

# %% cell="accelerator-provenance"
print(chips["MAX78000"].estimate(networks[0]))

# %% [markdown] cell="battery-text"
# ## 7 · Days on a battery
# A device that listens all day mostly waits. Its average power is what it draws asleep, plus what the sensor draws, plus the
# energy of one decision times decisions per second. Divide the energy of the battery by that.


# %% cell="ex5-answer" role="answer" exercise="5" hides="hardware.battery.life_days hardware.battery.mean_power_uw"
def battery_days(energy_uj, per_hour, idle_uw, capacity_mah, volts):
    """Days until a battery is empty.

    energy_uj    : energy of one decision, in microjoules
    per_hour     : decisions in an hour
    idle_uw      : what sleep and sensor draw all the time, in microwatts
    capacity_mah : charge of the battery, in milliampere-hours
    volts        : its voltage

    Example: battery_days(3600, 3600, 0, 100, 3) is 3.47: 3.6 mW out of 300 mWh.
    Hint: bring everything to one unit of energy per hour. A watt-hour is 3600 joules.
    """
    # BEGIN SOLUTION
    average_uw = idle_uw + energy_uj * per_hour / 3600
    battery_uwh = capacity_mah * volts * 1000
    return battery_uwh / average_uw / 24
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
check.close(
    "5",
    lambda: [
        battery_days(3600, 3600, 0, 100, 3),
        battery_days(0, 0, 100, 225, 3),
        battery_days(250, 3600, 50, 225, 3),
    ],
    [300 / 3.6 / 24, 675 / 0.1 / 24, 675 / 0.3 / 24],
    title="only decisions · only idle · both",
)

# %% cell="ex5-check" role="check" exercise="5" points=2 rtol=1e-6
check.value(
    [
        battery_days(e, n, idle, 225, 3.0)
        for e in (50, 900)
        for n in (60, 3600, 36000)
        for idle in (5, 700)
    ]
)


# %% cell="ex5-wrong-seconds" role="wrong" exercise="5"
# why: takes decisions per hour for decisions per second
def battery_days(energy_uj, per_hour, idle_uw, capacity_mah, volts):
    return capacity_mah * volts * 1000 / (idle_uw + energy_uj * per_hour) / 24


# %% cell="ex5-wrong-volts" role="wrong" exercise="5"
# why: milliampere-hours are charge, not energy
def battery_days(energy_uj, per_hour, idle_uw, capacity_mah, volts):
    return capacity_mah * 1000 / (idle_uw + energy_uj * per_hour / 3600) / 24


# %% cell="ex5-wrong-idle" role="wrong" exercise="5"
# why: forgets that sleep and the sensor draw power too
def battery_days(energy_uj, per_hour, idle_uw, capacity_mah, volts):
    return capacity_mah * volts * 1000 / (energy_uj * per_hour / 3600) / 24


# %% [markdown] cell="battery-explorer-text"
# Questions first. (a) At one decision a second, what empties the coin cell: the network, the features, or the microphone?
# (b) How many decisions an hour until the network is half of the bill? (c) Does the faster chip always live longer?

# %% cell="battery-explorer"
explorers.BatteryExplorer()

# %% [markdown] cell="paper-text"
# ## 8 · The paper says, measured here
# "Ultra-Low Power Keyword Spotting at the Edge" (arXiv:2111.04988) reports a 12-class keyword network on the MAX78000. Its network
# and ours differ, and so does the data: it uses the whole Speech Commands set, our shipped DS-CNN saw three thousand real clips.

# %% cell="paper-table"
real = models.card("ds-cnn-mini").figures["unseen real voices"]
priced = {network.name: chips["MAX78000"].estimate(network).energy_uj for network in networks[:2]}
print("                        the paper   here")
print(
    f"accuracy, 12 classes    96.3 %      {real['accuracy']:.1%}: DS-CNN, {real['n']} clips, unseen people"
)
for name, energy_uj in priced.items():
    print(f"energy, one inference   251 µJ      {energy_uj} µJ: {name}, estimated")

# %% [markdown] cell="paper-observe"
# Read the table as a scientist. The accuracies cannot be compared: other data, other split. The energies agree within an order of
# magnitude for DS-CNN and not for TC-ResNet8. Nor is this an independent test: the upper end of our interval was derived from the
# same 251 µJ, with a run time that had to be assumed. What it teaches is how little a single published number pins down.

# %% [markdown] cell="reflect-text"
# ## Reflect
# You need a keyword spotter that lives a year on two AA cells and decides ten times a second. Which network, which chip, and which
# number in this lab made you choose? Change the two names below to your choice; later labs can read them.

# %% cell="reflect"
choice = {"network": "tc-resnet8", "device": "max78000"}
price = labkit.device(choice["device"]).estimate(labkit.trace(*models.build(choice["network"])))
ledger.record(
    "03", **choice, latency_ms=price.latency_ms.mid, energy_uj=price.energy_uj.mid, fits=price.fits
)
ledger.read("03")
