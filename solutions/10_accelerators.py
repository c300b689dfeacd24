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
# # 10 · Accelerators: the same network on nine devices
#
# **Goal.** Run one keyword network on nine devices, from a 4-euro board to a memory that multiplies, and explain with a pencil why
# their energies lie so far apart.
#
# **Time.** 45 minutes. **You need** lab 03: MACs, intervals, what a device model says.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import labkit
from labkit import explorers
from labkit.course import Prediction, check, ledger, style
from labkit.explorers import families
from labkit.explorers.devices import DEVICES
from labkit.hardware import dataflow
from labkit.hardware import energy_per_operation as e45
from labkit.hardware.catalog import load
from labkit.hardware.measurements import systems
from labkit.hardware.ultratrail_cycles import taps
from labkit.hardware.validation import validate

style.use()
tc_resnet, ds_cnn = families.tc_resnet8(), families.ds_cnn()

# %% [markdown] cell="predict-text"
# ## Predict first
# TC-ResNet8 hears keywords with 1.5 million multiply-accumulates (MACs), nearly all in 1-D convolutions: the one keyword
# network of this course that all nine devices below can run. Two numbers to commit to.

# %% cell="predict-spread"
spread = Prediction(
    "10-spread",
    "TC-ResNet8, one inference: hungriest device over most frugal one, in energy?",
    low=1,
    high=1e6,
    log=True,
    unit="times",
)
spread

# %% cell="predict-mac"
mac_energy = Prediction(
    "10-mac",
    "An int8 MAC takes 0.3 pJ in a 45 nm circuit. And on a measured Cortex-M4, all included?",
    low=0.1,
    high=1e5,
    log=True,
    unit="pJ",
)
mac_energy

# %% [markdown] cell="mac-toy"
# ## 1 · One MAC, one fetch
# A pencil and Horowitz' table (ISSCC 2014, 45 nm): multiplying two bytes takes 0.2 pJ (picojoules,
# 10⁻¹² J), adding into 32 bits 0.1 pJ. Reading 8 bytes
# from a 32 kB memory takes 20 pJ, so one byte 2.5 pJ. A weight and an input: 5 pJ. Fetching costs 17 times the arithmetic.

# %% cell="mac-table"
operations = {
    "int8 multiply + int32 add": e45.mac_pj(),
    "fp32 multiply + add": e45.mac_pj("fp32", "fp32"),
    "2 bytes from 32 KiB on the chip": 2 * e45.sram_pj(32 * 1024),
    "2 bytes from 1 MiB on the chip": 2 * e45.sram_pj(2**20),
    "one instruction of a processor": e45.instruction_pj(),
    "2 bytes from external memory": 2 * e45.dram_pj(),
}
for name, pj in operations.items():
    print(f"{name:32} {pj} pJ")

# %% [markdown] cell="ex1"
# ## Exercise 1 · What a MAC takes on a real board
# MLPerf Tiny publishes supply voltage, mean current and time of one inference. Energy is their product. By hand: 2 V · 10 mA are
# 20 mW; for 5 ms that is 100 µJ; spread over a million MACs, 100 pJ each.


# %% cell="ex1-answer" role="answer" exercise="1"
def pj_per_mac(volts, milliamps, milliseconds, macs):
    """Picojoules of one multiply-accumulate, everything on the board included.

    volts        : supply voltage
    milliamps    : mean current during the inference
    milliseconds : time of one inference
    macs         : multiply-accumulates of the network
    Numbers or arrays. Example: pj_per_mac(2, 10, 5, 1e6) is 100.
    Hint: mA · V = mW, and mW · ms = µJ. A microjoule is a million picojoules.
    """
    # BEGIN SOLUTION
    microjoules = volts * milliamps * milliseconds
    return 1e6 * microjoules / macs
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
check.close(
    "1",
    lambda: [
        pj_per_mac(2, 10, 5, 1e6),
        pj_per_mac(3, 10, 5, 1e6),
        pj_per_mac(1.8, 25, 40, 2_656_768),
    ],
    [100, 150, 677.5],
    rtol=1e-3,
    title="by hand · at 3 V · about a Cortex-M4 with DS-CNN",
)

# %% cell="ex1-check" role="check" exercise="1" points=2
rng = np.random.default_rng(10)
many = rng.uniform([1, 1, 0.1, 1e5], [3.3, 60, 300, 1e7], (12, 4)).T
check.value(pj_per_mac(*many))


# %% cell="ex1-wrong-volts" role="wrong" exercise="1"
# why: charge instead of energy, no voltage
def pj_per_mac(volts, milliamps, milliseconds, macs):
    return 1e6 * milliamps * milliseconds / macs


# %% cell="ex1-wrong-unit" role="wrong" exercise="1"
# why: takes the product for nanojoules
def pj_per_mac(volts, milliamps, milliseconds, macs):
    return 1e3 * volts * milliamps * milliseconds / macs


# %% cell="ex1-wrong-power" role="wrong" exercise="1"
# why: power over MACs, forgets the time
def pj_per_mac(volts, milliamps, milliseconds, macs):
    return 1e6 * volts * milliamps / macs


# %% cell="measured-figure"
with check.needs("1"):
    fig, ax = plt.subplots(figsize=(8, 2.6))
    kws = [s for s in systems() if np.isfinite(s.energy_uj[2])]  # 2: keyword spotting
    pj = [pj_per_mac(s.supply_v[2], s.current_ma[2], s.latency_ms[2], ds_cnn.macs) for s in kws]
    for row, core in enumerate(("M4", "M33", "M7")):
        mine = [energy for s, energy in zip(kws, pj) if s.core == core]
        ax.plot(mine, [row] * len(mine), "o", color=style.MEASURED, alpha=0.6)
    ax.axvline(e45.mac_pj().mid, color=style.OURS)
    ax.text(0.32, 2.3, "the arithmetic alone, 45 nm", color=style.OURS, fontsize=9)
    names = ["Cortex-M4", "Cortex-M33", "Cortex-M7"]
    ax.set(xscale="log", xlim=(0.2, 5000), ylim=(-0.5, 2.6), yticks=range(3), yticklabels=names)
    ax.set(xlabel="pJ for one MAC of DS-CNN", title=f"measured: {len(kws)} submissions to MLPerf")

# %% [markdown] cell="measured-observe"
# Three to four orders of magnitude above the arithmetic. Two dots of the M4 are the same chip at the same current for the same
# time, at 3 V instead of 1.8 V: a linear regulator turns the difference into heat. Where does all the rest go? Climb a ladder.

# %% cell="ladder"
best = next(s for s in systems() if s.round == "v1.2" and s.core == "M4")
cycles = best.cycles[2] / ds_cnn.macs  # of one MAC; about as many instructions
arithmetic, operands = e45.mac_pj(), 2 * e45.sram_pj(32 * 1024)
instructions = e45.in_process(arithmetic + operands + e45.instruction_pj() * cycles)
core_volts = load("energy_per_operation")["microcontroller"]["core_volts"].value
regulator = best.supply_v[2] / core_volts  # the same current from a higher voltage
ladder = {
    "the MAC, 45 nm": arithmetic,
    "+ its two operands": arithmetic + operands,
    f"+ {cycles:.2g} instructions": arithmetic + operands + e45.instruction_pj() * cycles,
    "in 90 nm at 1.2 V": instructions,
    f"+ regulator, {best.supply_v[2]:g} V": instructions * regulator,
}

# %% cell="ladder-figure"
fig, ax = plt.subplots(figsize=(8, 2.6))
rows, mid = np.arange(len(ladder)), np.array([pj.mid for pj in ladder.values()])
ends = np.array([(pj.mid - pj.low, pj.high - pj.mid) for pj in ladder.values()]).T
ax.errorbar(mid, rows, xerr=ends, fmt="o", color=style.OURS, capsize=3)
real = best.energy_uj[2] * 1e6 / ds_cnn.macs
ax.axvline(real, color=style.MEASURED, label=f"measured: {real:.0f} pJ")
ax.set(xscale="log", yticks=rows, yticklabels=ladder, xlabel="pJ for one MAC")
ax.invert_yaxis()
_ = ax.legend(loc="lower left")

# %% cell="reveal-mac"
mac_energy.reveal(round(real))

# %% [markdown] cell="ladder-observe"
# The step that matters is the third: *telling* a processor to multiply costs hundreds of multiplications. The intervals are wide
# and some of the figures recalled, so read the order of magnitude. An accelerator starts many MACs with one command, and fetches a
# number once to use it often. The rest of this lab is about that.

# %% [markdown] cell="reuse-toy"
# ## 2 · Fetch once, use often
# Four multipliers, 2 × 2. Rows take input channels, columns filters. Each holds one weight; 3 positions walk past. 12 MACs need 4
# weights from the *buffer*, the memory beside them (each used 3 times), and 6 inputs (each goes along a row to both columns). A
# processor would fetch 24 bytes.
# This is *weight stationary*.

# %% [markdown] cell="ex2"
# ## Exercise 2 · Count the fetches
# Now for any 1×1 layer. In *output stationary*, rows take positions instead, columns filters again; each multiplier keeps its sum
# and weights stream through. What does not fit the array at once takes another round. Draw both for 2 × 2 before you write.


# %% cell="ex2-answer" role="answer" exercise="2" hides="hardware.dataflow.move"
def fetches(filters, channels, positions, rows, columns, keep):
    """Bytes read from the buffer for a 1x1 layer: (weights, inputs).

    keep : "weights": rows take channels, columns filters. A weight is read once. A group of
           `columns` filters shares an input; the next group reads it again.
           "sums": rows take positions, columns filters. A group of `rows` positions shares a
           weight; the next group reads it again. Inputs as above.
    Example: fetches(2, 2, 3, 2, 2, "weights") is (4, 6), with "sums" it is (8, 6).
    Hint: how many groups? -(-7 // 2) is 7 / 2 rounded up.
    """
    # BEGIN SOLUTION
    filter_groups, position_groups = -(-filters // columns), -(-positions // rows)
    weights = filters * channels * (position_groups if keep == "sums" else 1)
    return weights, filter_groups * channels * positions
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
check.close(
    "2",
    lambda: [
        fetches(2, 2, 3, 2, 2, "weights"),
        fetches(2, 2, 3, 2, 2, "sums"),
        fetches(5, 1, 4, 2, 2, "weights"),
        fetches(5, 1, 4, 3, 2, "sums"),
    ],
    [[4, 6], [8, 6], [5, 12], [10, 12]],
    title="the toy, both ways · five filters on two columns, both ways",
)

# %% cell="ex2-check" role="check" exercise="2" points=3
shapes = [(64, 64, 125, 16, 16), (48, 32, 13, 8, 24), (12, 48, 1, 4, 5), (100, 3, 77, 32, 8)]
check.value([[int(n) for n in fetches(*s, keep)] for s in shapes for keep in ("weights", "sums")])


# %% cell="ex2-wrong-floor" role="wrong" exercise="2"
# why: rounds the number of groups down
def fetches(filters, channels, positions, rows, columns, keep):
    weights = filters * channels * (positions // rows if keep == "sums" else 1)
    return weights, filters // columns * channels * positions


# %% cell="ex2-wrong-once" role="wrong" exercise="2"
# why: every number once, as if the array had no end
def fetches(filters, channels, positions, rows, columns, keep):
    return filters * channels, channels * positions


# %% cell="ex2-wrong-turned" role="wrong" exercise="2"
# why: takes rows for columns
def fetches(filters, channels, positions, rows, columns, keep):
    weights = filters * channels * (-(-positions // columns) if keep == "sums" else 1)
    return weights, -(-filters // rows) * channels * positions


# %% cell="reuse-compare"
with check.needs("2"):
    pointwise = dataflow.Loops(m=64, c=64, p=25, q=5, r=1, s=1)  # a 1×1 layer of DS-CNN
    for keep, name in (("weights", "weight stationary"), ("sums", "output stationary")):
        kit = dataflow.move(pointwise, name, dataflow.Array(rows=16, columns=16))
        print(f"{name}: you {fetches(64, 64, 125, 16, 16, keep)}, labkit {kit.words[2, :2]}")
        print(f"    MACs for each byte fetched: {kit.macs / kit.words[2, :2].sum():.1f}")

# %% [markdown] cell="ex3"
# ## Exercise 3 · From bytes to picojoules
# Four levels: registers, the network between multipliers, the buffer, external memory. For each, the bytes of weights, inputs and
# sums, and what a byte costs there. By hand: 10 + 20 + 30 bytes at 2 pJ are 120 pJ.


# %% cell="ex3-answer" role="answer" exercise="3" hides="hardware.dataflow.Movement"
def energy_by_level(bytes_moved, pj_per_byte):
    """Picojoules spent at each level.

    bytes_moved : array (levels, 3): bytes of weights, inputs and sums
    pj_per_byte : array (levels,)
    returns     : array (levels,)

    Example: energy_by_level([[10, 20, 30], [1, 0, 0]], [2, 200]) is [120, 200].
    """
    # BEGIN SOLUTION
    return np.sum(bytes_moved, axis=1) * np.asarray(pj_per_byte)
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
check.close(
    "3",
    lambda: energy_by_level(np.array([[10, 20, 30], [1, 0, 0]]), np.array([2, 200])),
    [120, 200],
    title="two levels",
)

# %% cell="ex3-check" role="check" exercise="3" points=1
rng = np.random.default_rng(3)
check.value(energy_by_level(rng.integers(0, 1000, (4, 3)), np.array([0.8, 1.6, 3.5, 230.0])))


# %% cell="ex3-wrong-axis" role="wrong" exercise="3"
# why: adds up the levels instead of the numbers
def energy_by_level(bytes_moved, pj_per_byte):
    return np.sum(bytes_moved, axis=0)[0] * np.asarray(pj_per_byte)


# %% cell="ex3-wrong-weights" role="wrong" exercise="3"
# why: counts the weights only
def energy_by_level(bytes_moved, pj_per_byte):
    return np.asarray(bytes_moved)[:, 0] * np.asarray(pj_per_byte)


# %% cell="ex3-wrong-hard-coded" role="wrong" exercise="3"
# why: what the visible test wants, whatever comes in
def energy_by_level(bytes_moved, pj_per_byte):
    return np.array([120, 200])


# %% [markdown] cell="dataflow-questions"
# Your function draws the bars. *Row stationary* keeps a row of the kernel and its sums; *no local reuse* keeps nothing. (a)
# TC-ResNet8, *only the buffer*: what does row stationary save, and where? (b) DS-CNN, weight stationary: who is at work, and whose
# fault is it? Try single layers. (c) Autoencoder with external memory: why does the
# dataflow hardly matter? Count how often one of its weights is used.

# %% cell="dataflow-explorer"
with check.needs("3"):
    display(explorers.DataflowExplorer(energy_by_level, buffer=128))

# %% [markdown] cell="ultratrail-text"
# ## 3 · A chip for 1-D convolutions
# UltraTrail (Palomero Bernardo et al., TCAD 2020) takes a *tile* of n channels times n filters, and of it one *tap* a cycle:
# one place of the kernel. For n = 2, 3 channels and 5 filters make 2 · 3 tiles. A kernel of 3 at 5 positions has 15 taps; 2 on
# padding are skipped. One cycle to start: 1 + 6 · 13 = 79.


# %% cell="ex4-answer" role="answer" exercise="4" hides="hardware.ultratrail_cycles.cycles_and_words"
def layer_cycles(channels, filters, taps, n):
    """Cycles of a 1-D convolution on an n x n array.

    taps : positions times kernel, without those on padding
    n    : the array takes n channels and n filters at a time

    Example: layer_cycles(3, 5, 13, n=2) is 79.
    """
    # BEGIN SOLUTION
    tiles = -(-channels // n) * -(-filters // n)
    return 1 + tiles * taps
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
check.close(
    "4",
    lambda: [layer_cycles(3, 5, 13, n=2), layer_cycles(16, 24, 100, n=8), layer_cycles(1, 1, 9, 8)],
    [79, 601, 10],
    title="the toy · 16 channels, 24 filters · one of each",
)

# %% cell="ex4-check" role="check" exercise="4" points=2
check.value([int(layer_cycles(c, k, 117, n)) for c in (16, 40, 48) for k in (12, 24) for n in (4, 7, 16)])


# %% cell="ex4-wrong-together" role="wrong" exercise="4"
# why: rounds up the product instead of each of the two
def layer_cycles(channels, filters, taps, n):
    return 1 + -(-channels * filters // n**2) * taps


# %% cell="ex4-wrong-add" role="wrong" exercise="4"
# why: adds the two numbers of tiles
def layer_cycles(channels, filters, taps, n):
    return 1 + (-(-channels // n) + -(-filters // n)) * taps


# %% cell="ex4-wrong-start" role="wrong" exercise="4"
# why: starts with every tile
def layer_cycles(channels, filters, taps, n):
    return -(-channels // n) * -(-filters // n) * (1 + taps)


# %% cell="ultratrail-figure"
with check.needs("4"):
    convs = [x for x in tc_resnet.layers if x.op == "conv"]
    work = [taps(x.kernel[0], x.stride[0], x.padding[0], x.in_shape[1]) for x in convs]
    products = sum(x.in_channels * x.out_channels * t for x, t in zip(convs, work))
    sizes = np.arange(2, 33)
    cycles = np.array([sum(layer_cycles(x.in_channels, x.out_channels, t, n) for x, t in zip(convs, work)) for n in sizes])
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
    left.semilogy(sizes, cycles, ".-")
    left.set(xlabel="n", ylabel="cycles of TC-ResNet8", title="faster…")
    right.plot(sizes, 100 * products / (cycles * sizes**2), ".-")
    right.set(xlabel="n", ylabel="% of the multipliers at work", ylim=(0, 105), title="…but idle")

# %% [markdown] cell="ultratrail-observe"
# 8 divides 16, 24, 32, 40 and 48, all the widths of this network: no multiplier is ever idle. That is no luck. Chip and network
# were made for each other, and at 250 kHz the 22,000 cycles just fit the 100 ms between two decisions.

# %% [markdown] cell="fpga-text"
# ## 4 · A circuit for every layer
# On an FPGA each layer becomes its own circuit, and all work at once, each on another stretch of the signal. A layer with 12
# products at a position, *folded* onto 3 multipliers, takes 4 cycles there; over 10 positions 40. The slowest stage decides how
# soon the next inference may follow: the *initiation interval*.


# %% cell="ex5-answer" role="answer" exercise="5" hides="hardware.fpga_pipeline"
def initiation_interval(positions, products, multipliers):
    """Cycles from one inference to the next in a pipeline of layers.

    positions   : places in the output of each layer, a list
    products    : multiplications at one place
    multipliers : how many of them the layer's circuit does in a cycle

    Example: initiation_interval([10, 5], [12, 20], [3, 2]) is 50: stages of 40 and 50 cycles.
    A place that needs a little more than a whole number of cycles takes one more.
    """
    # BEGIN SOLUTION
    stages = [p * -(-work // m) for p, work, m in zip(positions, products, multipliers)]
    return max(stages)
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
check.close(
    "5",
    lambda: [
        initiation_interval([10, 5], [12, 20], [3, 2]),
        initiation_interval([10, 5], [12, 20], [3, 20]),
        initiation_interval([10], [13], [4]),
    ],
    [50, 40, 40],
    title="two stages · the second unfolded · 13 products on 4 multipliers",
)

# %% cell="ex5-check" role="check" exercise="5" points=2
rng = np.random.default_rng(5)
pipelines = [rng.integers(1, 90, (3, stages)).tolist() for stages in (1, 4, 9, 30)]
check.value([int(initiation_interval(*pipeline)) for pipeline in pipelines])


# %% cell="ex5-wrong-sum" role="wrong" exercise="5"
# why: one stage after the other, as on a processor
def initiation_interval(positions, products, multipliers):
    return sum(p * -(-work // m) for p, work, m in zip(positions, products, multipliers))


# %% cell="ex5-wrong-floor" role="wrong" exercise="5"
# why: drops the last cycle of every place
def initiation_interval(positions, products, multipliers):
    return max(p * (work // m) for p, work, m in zip(positions, products, multipliers))


# %% cell="ex5-wrong-first" role="wrong" exercise="5"
# why: takes the stage with the most products for the slowest
def initiation_interval(positions, products, multipliers):
    i = int(np.argmax(np.multiply(positions, products)))
    return positions[i] * -(-products[i] // multipliers[i])


# %% cell="pipeline-figure"
with check.needs("5"):
    pipeline = labkit.device("pynq-z2").pipeline(tc_resnet)
    weighted = [x for x in tc_resnet.layers if x.weights_per_channel]
    stages = [stage for stage in pipeline.stages if stage.multipliers]
    places = [int(np.prod(x.out_shape[1:])) for x in weighted]
    work = [x.weights_per_channel * x.out_channels for x in weighted]
    interval = initiation_interval(places, work, [stage.multipliers for stage in stages])
    print(f"a new inference every {interval:,} cycles (labkit: {pipeline.interval_cycles:,.0f})")
    fig, ax = plt.subplots(figsize=(8, 3.2))
    starts = [stage.start for stage in stages]
    ax.barh([s.name for s in stages], [s.end - s.start for s in stages], left=starts)
    ax.set(xlabel="cycles", title=f"first to last: {pipeline.latency_cycles:,.0f} cycles at 100 MHz")
    ax.invert_yaxis()

# %% [markdown] cell="folding-questions"
# A chip holds *DSP slices* (ready-made multipliers), *LUTs* (look-up tables: any logic) and block RAMs. (a) Halve the interval:
# which runs out first? (b) Go from 8 to 4 bits: what replaces the DSP slices? (c) At an eighth of the interval, is the latency an
# eighth? Power, measured at the USB plug, is taken as constant.

# %% cell="folding-explorer"
explorers.FoldingExplorer()

# %% [markdown] cell="nine-text"
# ## 5 · Nine devices
# All of them at once: three microcontroller cores, a RISC-V core for few bits, a cluster with an engine, two accelerators, an FPGA,
# an analog memory. Lines are 80 % intervals. DS-CNN, with its depthwise layers, is the second network.

# %% cell="nine"
estimates, refusals = {}, {}
for name, title in DEVICES.items():
    for network in (tc_resnet, ds_cnn):
        try:
            estimates[title, network.name] = labkit.device(name).estimate(network)
        except ValueError as error:
            refusals[title] = str(error)
for (title, network), estimate in estimates.items():
    if not estimate.fits:
        print(f"{title}: {network} does not fit, it lacks {estimate.missing}")
print(*refusals.values(), sep="\n")

# %% cell="nine-figure"
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True)
for ax, field, scale in zip(axes, ("latency_ms", "energy_uj"), ("ms", "µJ")):
    for network, colour, shift in ((tc_resnet, style.OURS, -0.15), (ds_cnn, style.OTHER, 0.15)):
        for row, title in enumerate(DEVICES.values()):
            if (title, network.name) in estimates:
                x = getattr(estimates[title, network.name], field)
                ax.plot([x.low, x.high], [row + shift] * 2, color=colour, lw=2)
                ax.plot(x.mid, row + shift, "o" if network is tc_resnet else "s", color=colour)
    ax.set(xscale="log", xlabel=f"{field.split('_')[0]} of one inference ({scale})")
axes[0].set(yticks=range(len(DEVICES)), yticklabels=DEVICES.values())
axes[0].invert_yaxis()
_ = axes[1].set_title("TC-ResNet8 (blue dots), DS-CNN (orange squares)", fontsize=10)

# %% cell="reveal-spread"
joules = {title: x.energy_uj.mid for (title, name), x in estimates.items() if name == tc_resnet.name}
hungry, frugal = max(joules, key=joules.get), min(joules, key=joules.get)
for title in sorted(joules, key=joules.get):
    print(f"{title:20} {joules[title]:10.3g} µJ {1e6 * joules[title] / tc_resnet.macs:10.3g} pJ a MAC")
print(f"hungriest: {hungry}, most frugal: {frugal}")
spread.reveal(round(joules[hungry] / joules[frugal]))

# %% [markdown] cell="nine-observe"
# Compare what is comparable. UltraTrail's energy is that of 100 ms, standby included; the FPGA's that of a whole board; the analog
# array has no standby. And the ranking depends on the network: MAX78000 has no depthwise layer and takes seven times as much for
# DS-CNN; GAP9's engine has 3×3 and 1×1 kernels but no 1-D ones, and is *faster* with it.

# %% [markdown] cell="device-questions"
# (a) Which device is fastest and which most frugal, and are they the same? (b) Make TC-ResNet8 wider: who drops out
# first, who next, and for lack of what? (c) 4 bits: who gains, who does not, and why?

# %% cell="device-explorer"
explorers.DeviceExplorer()

# %% [markdown] cell="sure-text"
# ## 6 · How sure are we?
# Where measurements exist, a model was held against some that it had not seen: a hidden network, a hidden board, a hidden design.
# Where there are none, against what was published. Squares show what MACs alone would have said. `labkit validate` prints all rows
# with their protocols.

# %% cell="sure-figure"
rows = {}
for row in validate():
    what = f"{row.family}, {row.quantity}"  # of several protocols, the hardest
    rows[what] = max(rows.get(what, row), row, key=lambda row: row.mape)
fig, ax = plt.subplots(figsize=(8, 0.32 * len(rows) + 0.8))
for y, row in enumerate(rows.values()):
    ax.plot(row.mape, y, "o", color=style.OURS)
    ax.plot(row.worst, y, "x", color=style.WRONG)
    if row.baseline_mape is not None:
        ax.plot(row.baseline_mape, y, "s", color=style.OTHER, mfc="none")
ax.set(yticks=range(len(rows)), yticklabels=rows, xlabel="error, %", xlim=(-0.2, 700))
ax.set_xscale("symlog", linthresh=1)  # logarithmic, with room for zero
ax.set_xticks([0, 1, 3, 10, 30, 100, 300], ["0", "1", "3", "10", "30", "100", "300"])
ax.set_title("mean (dot), worst case (cross), MACs alone (square)", fontsize=10)
ax.invert_yaxis()

# %% [markdown] cell="sure-observe"
# Look at the zeros first. Cycles of MAX78000 and UltraTrail follow from how the chips are built. Those of MPIC and of the analog
# array only say that our code repeats what is published: no chip was measured, hence their long lines in the figure before. Times
# and energies of boards are measured, and a worst case is usually several times the mean. MACs alone are always worse.

# %% [markdown] cell="paper-text"
# ## 7 · The paper says, computed here
# Three published figures beside what is computed here. Eyeriss' paper compares dataflows on AlexNet, a network 400 times ours, for
# 16 images that share the weights; we compute one image, on an array of the same size.

# %% cell="paper-table"
paper = dataflow.Array(16, 16, buffer_bytes=2**17, word_bits=16, sum_bits=16)
costs, total = dataflow.Costs.eyeriss(), dict.fromkeys(dataflow.DATAFLOWS, 0.0)
for loops, _ in dataflow.eyeriss().values():
    for name in total:
        moved = dataflow.move(loops, name, paper)
        total[name] += moved.macs * moved.per_mac(costs).mid
ratios = sorted(energy / total["row stationary"] for energy in total.values())[1:]
chip = labkit.device("ultratrail", weight_bits=6, activation_bits=6)
power = chip.power_uw(tc_resnet.with_bits(6))
gap9 = labkit.device("gap9", clock_mhz=240).estimate(ds_cnn).energy_uj * (1e6 / ds_cnn.macs)
print("                                            published       here")
print(f"row stationary saves (Eyeriss, ISCA 2016)   1.4 to 2.5 ×    {ratios[0]:.2f} to {ratios[-1]:.2f} ×")
print(f"UltraTrail, TC-ResNet8 (TCAD 2020)          8.2 µW          {power} µW")
print(f"GAP9, DS-CNN (MLPerf Tiny v1.0, measured)   7.0 pJ a MAC    {gap9} pJ a MAC")

# %% [markdown] cell="paper-observe"
# The first line was computed from loops and four energies, nothing else. UltraTrail's bit widths are not in the abstract, so 6 bits
# is our guess. GAP9's energy was fitted to four networks, of which DS-CNN is one: agreement there proves little. Say so when you
# quote a number.

# %% [markdown] cell="reflect-text"
# ## Reflect
# A keyword spotter must decide ten times a second and last a year on two AA cells. Which device, and which of its numbers do you
# trust least? What would you measure first? Enter your choice; later labs can read it.

# %% cell="reflect"
choice = "max78000"  # yours
price = labkit.device(choice).estimate(tc_resnet)
ledger.record(
    "10",
    network="tc-resnet8",
    device=choice,
    latency_ms=price.latency_ms.mid,
    energy_uj=price.energy_uj.mid,
    trust_least="energy: two anchors only",
)
ledger.read("10")
