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
# # 00 · Start
#
# **Goal.** Check that everything works, see the whole course in one picture, and learn how a lab is read: predict, act, explain.
#
# **Time.** 30 minutes. **You need** a little Python and numpy. Run a cell with Shift+Enter; run them in order.

# %% cell="doctor"
from labkit.course import doctor

doctor.check()

# %% [markdown] cell="doctor-text"
# Each line says what was found. `!!` marks something to repair, and the same line says how. Nothing here needs the internet: the
# labs use data that came with the installation, or that your own machine makes.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion

style.use()

# %% [markdown] cell="story-text"
# ## The whole story in one picture
# Ten people wore a watch with an accelerometer and a gyroscope and did shoulder exercises. A small network, trained on other
# people, looks at 2.56 seconds of it and names the exercise. The question of this course: what does that cost on a chip that runs
# on a coin cell?

# %% cell="data"
watch = motion.load("watch")
people = watch.part("test")
print(watch)
print(watch.card)

# %% cell="network"
network, card = models.pretrained("har-cnn", "watch")
workload = labkit.trace(network, card.prepare(people.x[:1]), name="har-cnn")
board = labkit.device("nucleo-l4r5zi")
estimate = board.estimate(workload)
print(f"{workload.macs:,} multiply-accumulates, {workload.params:,} parameters")

# %% [markdown] cell="softmax-text"
# The network ends in seven numbers, its *logits*: the larger, the more it believes in that exercise. To read them as
# probabilities we need one small function, and you write it.
#
# ## Exercise 1 · From logits to probabilities
# An exercise is a function with an assignment as its docstring. Replace the `raise` by your code, run the cell, then run the test
# below it. The test draws what it compares. It is yours to look at: run it as often as you like.


# %% cell="ex1-answer" role="answer" exercise="1"
def softmax(logits):
    """Probabilities from logits: exp(logit), divided by the sum over the classes.

    logits  : array (examples, classes)
    returns : array of the same shape; each row is positive and sums to 1

    Example: softmax([[0, 0]]) is [[0.5, 0.5]].
    Hint: exp(1000) overflows. Subtracting the largest logit of a row changes no result: why?
    """
    # BEGIN SOLUTION
    logits = np.asarray(logits, dtype=float)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
third = np.log([[1.0, 1.0, 2.0]])
by_hand = [[1 / 3] * 3, [0.25, 0.25, 0.5]]
check.close(
    "1",
    lambda: softmax(np.array([[0, 0, 0], *third])),
    by_hand,
    title="by hand",
    hint="sum over each row",
)
check.close(
    "1",
    lambda: softmax(np.array([[900.0, 900.0], [-900.0, -900.0]])),
    [[0.5, 0.5], [0.5, 0.5]],
    title="large",
    hint="subtract the row's largest logit",
)

# %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-6
check.value(softmax(np.random.default_rng(0).normal(0, 3, (5, 7))))

# %% cell="ex1-check-large" role="check" exercise="1" points=1 rtol=1e-6
check.value(softmax(np.array([[900.0, 901.0, 0.0], [-900.0, -901.0, -899.0]])))


# %% cell="ex1-wrong-all" role="wrong" exercise="1"
# why: divides by the sum over everything
def softmax(logits):
    powers = np.exp(np.asarray(logits, dtype=float) - np.max(logits))
    return powers / powers.sum()


# %% cell="ex1-wrong-overflow" role="wrong" exercise="1"
# why: overflows for large logits
def softmax(logits):
    powers = np.exp(np.asarray(logits, dtype=float))
    return powers / powers.sum(axis=1, keepdims=True)


# %% cell="ex1-wrong-linear" role="wrong" exercise="1"
# why: normalises without the exponential
def softmax(logits):
    logits = np.asarray(logits, dtype=float)
    shifted = logits - logits.min(axis=1, keepdims=True) + 1e-9
    return shifted / shifted.sum(axis=1, keepdims=True)


# %% [markdown] cell="story-here"
# Now the picture. Left: a real window of a person whom the network never met. Middle: your `softmax` of its logits, the true
# exercise in green. Right: the price of that one answer, layer by layer, on a Cortex-M4.

# %% cell="story"
from labkit.explorers import story

example = 110
with check.needs("1"):
    with torch.no_grad():
        logits = network(card.prepare(people.x[example : example + 1]))
    opinion = dict(zip(watch.labels, softmax(logits.numpy())[0]))
    truth = watch.labels[people.y[example]]
    picture = story.draw(people.x[example], watch.rate_hz, opinion, truth, workload, estimate)
    style.show(picture, "signal, probabilities, energy")

# %% [markdown] cell="story-observe"
# Change `example` and run the cell again until you find a window that the network gets wrong. Nothing in the picture is typed in:
# the signal was recorded, the network was trained by a command that its card names, and the price comes from a model of the chip
# that is checked against published measurements. That model is off by some percent, so it answers with an interval: eight times
# out of ten the truth should lie inside ("80 %").

# %% cell="card"
shipped, everyone = list(card.figures.values())[:2]
print(
    f"this network, on its {len(set(people.group))} unseen people: {shipped['accuracy']:.0%} right"
)
print(f"ten networks, each without one person, on that person: {everyone['accuracy']:.0%} right")
print(f"trained by: {card.command}\n")
print(estimate)

# %% [markdown] cell="predict-text"
# ## Predict, then act, then explain
# Before something is shown, the labs ask what you expect. A prediction locks, and comes back later beside the truth. Being wrong
# here costs nothing; it is how the later explanation sticks.

# %% cell="predict-card"
coin_cell = Prediction(
    "00-coin-cell",
    "This network once a second, asleep in between: how many days on a coin cell?",
    low=1,
    high=3000,
    log=True,
    unit="days",
)
coin_cell

# %% [markdown] cell="memory-text"
# ## Exercise 2 · Does it fit?
# A microcontroller keeps the weights in flash. In training a weight is a 32-bit float; on the chip it is usually an 8-bit
# integer, later in the course 4 or 2 bits. Each output channel also has a bias, which stays at 32 bits.


# %% cell="ex2-answer" role="answer" exercise="2"
def flash_bytes(weights, biases, bits):
    """Bytes of flash for a network.

    weights, biases : how many there are
    bits            : bits of one weight; a bias always has 32

    Example: flash_bytes(100, 10, 8) is 140, and flash_bytes(3, 0, 2) is 1: six bits need a whole byte.
    """
    # BEGIN SOLUTION
    return -(-(weights * bits + biases * 32) // 8)
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
four_widths = [440, 140, 90, 65]
check.close(
    "2",
    lambda: [flash_bytes(100, 10, b) for b in (32, 8, 4, 2)],
    four_widths,
    title="100 weights, 10 biases",
)
check.equal(
    "2",
    lambda: [flash_bytes(3, 0, 2), flash_bytes(1, 1, 3)],
    [1, 5],
    title="6 and 35 bits",
    hint="round up to whole bytes",
)

# %% cell="ex2-check" role="check" exercise="2" points=2
check.value([flash_bytes(22016, 588, b) for b in (32, 8, 4, 2, 1)])

# %% cell="ex2-check-odd" role="check" exercise="2" points=1
check.value([flash_bytes(n, 1, 3) for n in (1, 2, 3, 8)])


# %% cell="ex2-wrong-bias" role="wrong" exercise="2"
# why: shrinks the biases too
def flash_bytes(weights, biases, bits):
    return -(-(weights + biases) * bits // 8)


# %% cell="ex2-wrong-down" role="wrong" exercise="2"
# why: rounds down, so that the last bits have no room
def flash_bytes(weights, biases, bits):
    return (weights * bits + biases * 32) // 8


# %% cell="ex2-wrong-bits" role="wrong" exercise="2"
# why: gives bits, not bytes
def flash_bytes(weights, biases, bits):
    return weights * bits + biases * 32


# %% [markdown] cell="energy-text"
# ## Exercise 3 · One second in the life of a sensor
# The chip wakes, answers, and sleeps again. Awake it draws milliwatts, asleep microwatts. What counts for the battery is the
# average over a second.


# %% cell="ex3-answer" role="answer" exercise="3" hides="hardware.battery.mean_power_uw"
def average_power_uw(energy_uj, per_second, latency_ms, sleep_uw):
    """Average power of a chip that answers and sleeps, in microwatts.

    energy_uj  : energy of one answer, in microjoules
    per_second : answers in a second
    latency_ms : how long one answer takes, in milliseconds; the chip sleeps the rest of the second
    sleep_uw   : power asleep, in microwatts

    Example: average_power_uw(500, 2, 100, 10) is 1008.0: 1000 for two answers, 8 for 0.8 s asleep.
    """
    # BEGIN SOLUTION
    asleep = 1 - per_second * latency_ms / 1000
    return energy_uj * per_second + sleep_uw * asleep
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
check.close(
    "3",
    lambda: [
        average_power_uw(500, 2, 100, 10),
        average_power_uw(0, 0, 0, 7),
        average_power_uw(300, 10, 100, 99),
    ],
    [1008, 7, 3000],
    title="twice a second · always asleep · never asleep",
    hint="how much of the second is left for sleeping?",
)

# %% cell="ex3-check" role="check" exercise="3" points=2 rtol=1e-6
check.value(
    [average_power_uw(e, n, ms, 4.5) for e in (20, 700) for n in (0.2, 1, 8) for ms in (3, 90)]
)


# %% cell="ex3-wrong-sleep" role="wrong" exercise="3"
# why: sleeps through the whole second, also while it works
def average_power_uw(energy_uj, per_second, latency_ms, sleep_uw):
    return energy_uj * per_second + sleep_uw


# %% cell="ex3-wrong-units" role="wrong" exercise="3"
# why: takes milliseconds for seconds
def average_power_uw(energy_uj, per_second, latency_ms, sleep_uw):
    return energy_uj * per_second + sleep_uw * (1 - per_second * latency_ms)


# %% cell="ex3-wrong-once" role="wrong" exercise="3"
# why: pays for one answer, however many there are
def average_power_uw(energy_uj, per_second, latency_ms, sleep_uw):
    return energy_uj + sleep_uw * (1 - per_second * latency_ms / 1000)


# %% cell="reveal"
from labkit.hardware import battery, catalog

asleep = catalog.load("battery")["system"]["sleep_uw"]
print(f"asleep: {asleep.value} µW ({asleep.kind}: {asleep.source})")
with check.needs("3"):
    power_uw = average_power_uw(estimate.energy_uj.mid, 1, estimate.latency_ms.mid, asleep.value)
    coin_cell.reveal(round(battery.life_days(power_uw, battery.battery("cr2032"))))

# %% [markdown] cell="reveal-text"
# That is the network alone. The sensor and the radio have not been asked yet; lab 03 sends them the bill too.
#
# ## Move something
# This is an explorer. Every number comes from the same code you just used. First a question: make the network half as wide; which
# falls faster, energy or flash? Then drag. It starts with the keyword network of lab 01; the task *motion* is the one above. Grey
# is where you were before; red means that it does not fit.

# %% cell="explorer"
explorers.CostExplorer()

# %% [markdown] cell="grading-text"
# ## How you are graded
# The tests you see are for you. For the grade, your notebook is run again with *other* inputs, and what your functions return is
# compared outside with what a correct solution returned. Deleting a test or printing the right number earns nothing. Work that is
# half right keeps its points: every exercise counts alone.

# %% cell="reflect"
ledger.record(
    "00",
    device=estimate.device,
    latency_ms=estimate.latency_ms.mid,
    energy_uj=estimate.energy_uj.mid,
)
ledger.read("00")

# %% [markdown] cell="reflect-text"
# The last cell wrote your first entry into the *design ledger*, a small file in your home folder. Each lab adds what you chose,
# and later labs can read it. One question to take along: you saw three numbers for one network, accuracy, memory, energy. Which one
# would you give up first, and for what product? Next: **01 · Keyword spotting**.
