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
# # 02 · Human activity
#
# **Goal.** Turn the stream of a watch into examples, train a small network on them, and find out how good it is for a person whom
# it never met. The last part is where most published mistakes are.
#
# **Time.** 45 minutes. **You need** lab 00, and a rough idea of what a convolution does.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion
from labkit.report import Report
from labkit.training import Recipe, fit, predict

style.use()
torch.set_num_threads(1)  # a network this small gains nothing from a second thread

# %% [markdown] cell="signal-text"
# ## What a watch feels
# Ten people did seven shoulder exercises with each arm, wearing a watch. Fifty times a second it noted three accelerations, in
# units of gravity (g), and three rates of turning, in radians per second. Real recordings; they came with the installation.

# %% cell="recordings"
recordings = motion.recordings("watch")
by_label = {r.label: r for r in recordings if r.subject == "10" and r.side == "left"}
print(f"{len(recordings)} recordings; the first is {recordings[0].name}, an array {recordings[0].signal.shape}")

# %% cell="signal-figure"
fig, axes = plt.subplots(2, 3, sharex=True, sharey="row", figsize=(9, 3.6))
seconds = np.arange(500) / 50
for column, label in zip(axes.T, (0, 1, 2)):
    signal = by_label[label].signal[:, :500]
    column[0].plot(seconds, signal[:3].T)
    column[1].plot(seconds, signal[3:].T)
    column[0].set_title(motion.SOURCES["watch"].labels[label])
axes[0, 0].legend("xyz", ncols=3, loc="lower left")
axes[0, 0].set_ylabel("g")
axes[1, 0].set_ylabel("rad/s")
_ = axes[1, 1].set_xlabel("seconds")

# %% [markdown] cell="signal-observe"
# The pendulum is easy to tell by eye: the arm hangs, so gravity stays on the x axis. Abduction (the arm goes up sideways) and
# forward elevation (it goes up in front) look alike. Remember that pair.

# %% [markdown] cell="windows-text"
# ## Exercise 1 · Windows
# A network wants examples of one size. So we cut: `window` samples, a new window every `hop` samples, all channels together. By
# hand: from 6 samples, with window 3 and hop 2, you get two windows, [1 2 3] and [3 4 5]. The sixth sample is left over. Nothing is
# made up to fill a window.

# %% cell="ex1-answer" role="answer" exercise="1" hides="data.motion.windows"
def windows(recording, window, hop):
    """Cuts a recording into windows.

    recording : array (channels, samples)
    returns   : array (n, channels, window); window i is recording[:, i·hop : i·hop + window]; only whole windows

    Example: windows([[1, 2, 3, 4, 5, 6]], 3, 2) is [[[1, 2, 3]], [[3, 4, 5]]].
    Hints: how many starts leave room for a whole window? np.stack makes one array of a list of arrays.
    """
    # BEGIN SOLUTION
    recording = np.asarray(recording)
    starts = range(0, recording.shape[1] - window + 1, hop)
    return np.stack([recording[:, start : start + window] for start in starts])
    # END SOLUTION

# %% cell="ex1-test" role="test" exercise="1"
six = np.array([[1, 2, 3, 4, 5, 6]])
check.close("1", lambda: windows(six, 3, 2), [[[1, 2, 3]], [[3, 4, 5]]], title="six numbers, window 3, hop 2")
two = np.array([[1, 2, 3, 4], [10, 20, 30, 40]])
two_windows = [[[1, 2], [10, 20]], [[3, 4], [30, 40]]]
check.close("1", lambda: windows(two, 2, 2), two_windows, title="two channels", hint="channels stay together")
check.equal("1", lambda: windows(recordings[0].signal, 128, 64).shape, (19, 6, 128), title="a recording of 1,333 samples")

# %% cell="ex1-check" role="check" exercise="1" points=2
check.value(windows(np.arange(60.0).reshape(3, 20) ** 2, 7, 3))

# %% cell="ex1-check-edges" role="check" exercise="1" points=1
check.value([np.asarray(windows(np.arange(2 * n).reshape(2, n), 4, hop)).tolist() for n, hop in ((4, 4), (5, 1), (11, 6), (12, 8))])

# %% cell="ex1-wrong-last" role="wrong" exercise="1"
# why: forgets the last whole window when it ends exactly with the recording
def windows(recording, window, hop):
    recording = np.asarray(recording)
    starts = range(0, max(recording.shape[1] - window, 1), hop)
    return np.stack([recording[:, start : start + window] for start in starts])

# %% cell="ex1-wrong-pad" role="wrong" exercise="1"
# why: fills the last window with zeros, a movement that nobody made
def windows(recording, window, hop):
    recording = np.pad(np.asarray(recording), ((0, 0), (0, window)))
    starts = range(0, recording.shape[1] - window, hop)
    return np.stack([recording[:, start : start + window] for start in starts])

# %% cell="ex1-wrong-hop" role="wrong" exercise="1"
# why: steps by the window instead of the hop
def windows(recording, window, hop):
    recording = np.asarray(recording)
    starts = range(0, recording.shape[1] - window + 1, window)
    return np.stack([recording[:, start : start + window] for start in starts])

# %% cell="ex1-wrong-reshape" role="wrong" exercise="1"
# why: a reshape tears the channels apart
def windows(recording, window, hop):
    recording = np.asarray(recording)
    count = 1 + (recording.shape[1] - window) // hop
    cut = np.stack([recording[:, i * hop : i * hop + window] for i in range(count)])
    return cut.swapaxes(1, 2).reshape(cut.shape)

# %% cell="windows-real"
data = motion.load("watch", window=128, hop=64)
with check.needs("1"):
    yours = sum(len(windows(recording.signal, 128, 64)) for recording in recordings)
    print(f"your function cuts {yours:,} windows out of {len(recordings)} recordings, labkit {len(data):,}")
print(data)

# %% [markdown] cell="mirror-text"
# `motion.load` does one thing more: it mirrors recordings of right arms (`motion.on_left_arm`), so that all look like left arms. A
# watch knows its arm from its settings. Half of the variety vanishes, for three changed signs: knowledge is cheaper than weights.

# %% [markdown] cell="leak-text"
# ## Who is in the test?
# The usual test: shuffle the examples, keep a tenth for the test. Here that tenth comes from the same ten people who are in
# training; in use, the watch is on an eleventh. So there is a second way: leave out one person, train on the other nine, test on
# the one. Same network, same training, another question.

# %% cell="predict-leak-card"
unlucky = Prediction(
    "02-unlucky",
    "Tested on shuffled windows, our quick training scores about 93 %. What does it score for the unseen person it suits least?",
    low=0, high=100, unit="%",
)
unlucky

# %% [markdown] cell="people-text"
# ## Exercise 2 · Leave one person out
# By hand: three windows, of Ann, Ann and Bob. Leaving out Ann, window 3 trains and windows 1 and 2 test; leaving out Bob, the other
# way round. Two folds for two people. A fold is a pair of masks, so that `x[train]` and `x[test]` pick the windows.

# %% cell="ex2-answer" role="answer" exercise="2" hides="data.motion.folds"
def leave_one_out(group):
    """For each person a fold: everybody else trains, this person tests.

    group   : (n,) names, one for each window
    returns : list of (train, test), two boolean arrays (n,) for each person, in the sorted order of the names

    Example: leave_one_out(["ann", "ann", "bob"]) is
             [([False, False, True], [True, True, False]), ([True, True, False], [False, False, True])]
    Hint: np.unique gives the names, sorted and each once.
    """
    # BEGIN SOLUTION
    group = np.asarray(group)
    return [(group != person, group == person) for person in np.unique(group)]
    # END SOLUTION

# %% cell="ex2-test" role="test" exercise="2"
folds_by_hand = [[[0, 0, 1], [1, 1, 0]], [[1, 1, 0], [0, 0, 1]]]
check.close("2", lambda: np.array(leave_one_out(["ann", "ann", "bob"])), folds_by_hand, title="three windows of two people")
check.true(
    "2",
    lambda: [not set(data.group[train]) & set(data.group[test]) for train, test in leave_one_out(data.group)],
    "nobody both trains and tests",
)

# %% cell="ex2-check" role="check" exercise="2" points=2
check.value(np.array(leave_one_out(np.array(["c", "a", "c", "b", "a", "c", "b"]))).astype(int))

# %% cell="ex2-check-count" role="check" exercise="2" points=1
check.value([[int(np.sum(test)) for _, test in leave_one_out([7, 3, 7, 7, 3, 11])], len(leave_one_out(["x", "y", "z", "x"]))])

# %% cell="ex2-wrong-window" role="wrong" exercise="2"
# why: leaves out one window instead of one person
def leave_one_out(group):
    index = np.arange(len(group))
    return [(index != i, index == i) for i in index]

# %% cell="ex2-wrong-all" role="wrong" exercise="2"
# why: everybody trains, also the person who is tested
def leave_one_out(group):
    group = np.asarray(group)
    return [(np.ones(len(group), dtype=bool), group == person) for person in np.unique(group)]

# %% cell="ex2-wrong-blocks" role="wrong" exercise="2"
# why: cuts equal blocks, although people have different numbers of windows
def leave_one_out(group):
    people = len(np.unique(group))
    block = np.arange(len(group)) * people // len(group)
    return [(block != i, block == i) for i in range(people)]

# %% [markdown] cell="train-text"
# Now train, live: a 1-D convolutional network of about 10,000 weights, a few seconds for each fold. Note where mean and standard
# deviation come from. Taken over all windows they would carry a little of the test into the training, a second kind of leak.

# %% cell="train-function"
distinct = motion.load("watch", window=128, hop=128)  # no two windows share a sample
x, y = distinct.x, torch.from_numpy(distinct.y)


def train_and_test(train, test):
    """Accuracy on the windows `test` of a fresh network that was trained on the windows `train`."""
    mean, std = x[train].mean((0, 2), keepdims=True), x[train].std((0, 2), keepdims=True)
    inputs = torch.from_numpy((x - mean) / std)
    network, _ = models.build("har-cnn")
    recipe = Recipe(epochs=5, batch_size=64, learning_rate=5e-3)
    fit(network, (inputs[train], y[train]), None, recipe, progress=False)
    return (predict(network, inputs[test]) == y[test]).float().mean().item()

# %% cell="train-shuffled"
tenth = np.random.default_rng(0).permutation(len(x)) % 10
shuffled = np.mean([train_and_test(tenth != k, tenth == k) for k in range(3)])
print(f"shuffled windows, mean of three tenths: {shuffled:.1%}")

# %% cell="train-people"
with check.needs("2"):
    unseen = np.array([train_and_test(train, test) for train, test in leave_one_out(distinct.group)])
    print(f"unseen people: mean {unseen.mean():.1%}, from {unseen.min():.1%} to {unseen.max():.1%}")

# %% cell="people-figure"
with check.needs("2"):
    fig, ax = plt.subplots(figsize=(7, 2.8))
    ax.bar(np.unique(distinct.group), 100 * unseen, color=style.OURS, label="this person was left out")
    ax.axhline(100 * shuffled, color=style.WRONG, ls="--", label="shuffled windows")
    ax.axhline(100 * unseen.mean(), color=style.MEASURED, label="mean over people")
    ax.set(xlabel="person", ylabel="accuracy (%)", ylim=(0, 119))
    _ = ax.legend(ncols=3, loc="upper center")

# %% cell="reveal-leak"
with check.needs("2"):
    unlucky.reveal(100 * unseen.min())

# %% [markdown] cell="leak-observe"
# Shuffling promises more than an average new user gets, and far more than the unlucky one. No two of these windows share a sample,
# so the network did not see its test: it knew the *people*. And "accuracy" turns out to be ten numbers; whoever reports only their
# mean hides the one who would send the watch back.

# %% [markdown] cell="rare-text"
# ## When the average hides a class
# A better network is shipped with the course: trained longer, on subjects 1 to 7, with windows turned and stretched at random. We
# ask it about subjects 8 to 10. Then we thin out one class of the *test* to a tenth, as if fewer abductions had been ordered. The
# thinning is ours; the windows that stay are real.

# %% cell="shipped"
network, card = models.pretrained("har-cnn", "watch")
test = data.part("test")
said = predict(network, card.prepare(test.x)).numpy()
rarely = test.labels.index("abduction")
keep = (test.y != rarely) | (np.arange(len(test)) % 10 == 0)
print(f"{len(test)} windows of {len(set(test.group))} people; thinned out, {keep.sum()} are left")

# %% cell="predict-rare-card"
thinned = Prediction(
    "02-rare",
    "Nine of ten abduction windows leave the test; the network stays as it is. Its accuracy ...",
    options=["falls", "stays within 2 points", "rises"],
)
thinned

# %% [markdown] cell="recall-text"
# ## Exercise 3 · Balanced accuracy
# *Recall* asks class by class: of the windows that are an abduction, how many did the network find? *Balanced accuracy* is the mean
# of the recalls, so that a rare class counts as much as a frequent one. By hand: truth a a a b, answer a a a a. Accuracy 3/4;
# recalls 1 and 0; balanced 1/2.

# %% cell="ex3-answer" role="answer" exercise="3" hides="report.Report.balanced_accuracy report.Report.recall"
def balanced_accuracy(truth, said):
    """The mean recall of the classes that occur in `truth`.

    truth, said : (n,) class numbers: what it was, and what the network said
    returns     : a number from 0 to 1

    Example: balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0]) is 0.5.
    Hint: for one class, look only at the windows that belong to it.
    """
    # BEGIN SOLUTION
    truth, said = np.asarray(truth), np.asarray(said)
    return float(np.mean([np.mean(said[truth == c] == c) for c in np.unique(truth)]))
    # END SOLUTION

# %% cell="ex3-test" role="test" exercise="3"
check.close("3", lambda: balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0]), 0.5, title="three to one")
check.close("3", lambda: balanced_accuracy([0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0]), 0.625, title="recalls 1/2 and 3/4")
check.close("3", lambda: balanced_accuracy([4, 4, 2], [4, 3, 2]), 0.75, title="class 3 never occurs", hint="classes of truth only")

# %% cell="ex3-check" role="check" exercise="3" points=2 rtol=1e-6
draw = np.random.default_rng(3)
truth = draw.choice(5, 400, p=[0.6, 0.2, 0.1, 0.07, 0.03])
check.value([balanced_accuracy(truth, np.where(draw.random(400) < share, truth, draw.integers(0, 5, 400))) for share in (0.2, 0.9)])

# %% cell="ex3-check-absent" role="check" exercise="3" points=1 rtol=1e-6
check.value([balanced_accuracy([9, 9, 9, 1], [9, 9, 5, 5]), balanced_accuracy([2, 2], [2, 2]), balanced_accuracy([0, 1], [1, 1])])

# %% cell="ex3-wrong-accuracy" role="wrong" exercise="3"
# why: plain accuracy
def balanced_accuracy(truth, said):
    return float(np.mean(np.asarray(truth) == np.asarray(said)))

# %% cell="ex3-wrong-precision" role="wrong" exercise="3"
# why: precision (of what it called a class) instead of recall (of what is one)
def balanced_accuracy(truth, said):
    truth, said = np.asarray(truth), np.asarray(said)
    return float(np.mean([np.mean(truth[said == c] == c) for c in np.unique(said)]))

# %% cell="ex3-wrong-absent" role="wrong" exercise="3"
# why: counts classes that were said but never occur as recall zero
def balanced_accuracy(truth, said):
    truth, said = np.asarray(truth), np.asarray(said)
    classes = np.unique(np.concatenate([truth, said]))
    return float(np.mean([np.sum(said[truth == c] == c) / max(np.sum(truth == c), 1) for c in classes]))

# %% cell="rare-numbers"
with check.needs("3"):
    for name, rows in (("as recorded", np.full(len(test), True)), ("thinned out", keep)):
        accuracy, balanced = np.mean(test.y[rows] == said[rows]), balanced_accuracy(test.y[rows], said[rows])
        print(f"{name:12} accuracy {accuracy:.1%}   balanced {balanced:.1%}")

# %% cell="reveal-rare"
change = 100 * (np.mean(test.y[keep] == said[keep]) - np.mean(test.y == said))
thinned.reveal("rises" if change > 2 else "falls" if change < -2 else "stays within 2 points")

# %% cell="confusion"
report = Report.of(test.y, said, test.labels)
fig, ax = plt.subplots(figsize=(5.2, 4.4))
report.plot(ax)
print(report)

# %% [markdown] cell="rare-observe"
# The network takes half of the abductions for forward elevations, the pair that looked alike to you. Make them rare and accuracy
# *rises*, because fewer of its mistakes are counted. Balanced accuracy moves little, and only because 21 windows say little about
# a recall. On HAPT, with twelve classes of which six are rare transitions, the two differ from the start:

# %% cell="hapt"
for tested, figure in models.card("har-cnn-hapt").figures.items():
    print(f"HAPT, {tested}: accuracy {figure['accuracy']:.1%}, balanced {figure['balanced_accuracy']:.1%} (n = {figure['n']})")

# %% [markdown] cell="field-text"
# ## Exercise 4 · What one feature can see
# A convolution looks at `kernel` neighbours in the layer below. After a stride of 2 the neighbours lie 2 samples apart, then 4. The
# *receptive field* is how many samples of the signal reach one value at the top. By hand: two kernels of 3 see 5 samples; if the
# first has stride 2, they see 7. Draw it.

# %% cell="ex4-answer" role="answer" exercise="4"
def receptive_field(kernels, strides):
    """Samples of the input that one value of the last layer can see.

    kernels, strides : one number for each layer, from the input upwards

    Example: receptive_field([3, 3], [1, 1]) is 5, receptive_field([3, 3], [2, 1]) is 7.
    Hint: start at 1. A layer adds (kernel - 1) steps. How long is a step, measured in samples of the input?
    """
    # BEGIN SOLUTION
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        field += (kernel - 1) * step
        step *= stride
    return field
    # END SOLUTION

# %% cell="ex4-test" role="test" exercise="4"
check.close(
    "4",
    lambda: [receptive_field(*net) for net in (([3, 3], [1, 1]), ([3, 3], [2, 1]), ([5], [2]), ([3, 3, 3], [2, 2, 2]))],
    [5, 7, 5, 15],
    title="two layers · the first with stride 2 · one layer · three layers",
    hint="the stride of a layer matters for the layers above it, not for itself",
)

# %% cell="ex4-check" role="check" exercise="4" points=2
check.value([receptive_field([9, 9, 9], [1, 2, 2]), receptive_field([3, 1, 5, 1], [2, 2, 1, 3]), receptive_field([2] * 8, [2] * 8)])

# %% cell="ex4-wrong-stride" role="wrong" exercise="4"
# why: ignores the strides
def receptive_field(kernels, strides):
    return 1 + sum(kernel - 1 for kernel in kernels)

# %% cell="ex4-wrong-own" role="wrong" exercise="4"
# why: lets a layer's own stride widen its own view
def receptive_field(kernels, strides):
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        step *= stride
        field += (kernel - 1) * step
    return field

# %% cell="ex4-wrong-product" role="wrong" exercise="4"
# why: multiplies the kernels
def receptive_field(kernels, strides):
    return int(np.prod(kernels))

# %% cell="field-network"
signal = card.prepare(test.x[:1]).requires_grad_(True)
network.features(signal)[0, :, 8].sum().backward()  # one value of the last layer, in the middle
seen = np.flatnonzero(signal.grad.abs().sum(dim=(0, 1)))
with check.needs("4"):
    print(f"kernels 7, 5, 3 with stride 2: {receptive_field([7, 5, 3], [2, 2, 2])} samples by your function")
    print(f"the network's own gradient reaches {len(seen)} samples, {seen[0]} to {seen[-1]}")

# %% [markdown] cell="field-observe"
# 23 samples are 0.46 s: less than one lift of an arm. The network recognises short strokes and averages them over the window. So a
# longer window does not show it longer movements; it averages over more strokes. That costs memory and time, which you now
# choose.

# %% [markdown] cell="explorer-text"
# ## The explorer: window, hop, channels
# Its windows are cut by *your* function; its accuracies were measured by a recipe, with one short training for each setting.
# Questions first. (a) Which costs more accuracy: half the window, or no gyroscope? (b) Where is the gap between shuffled and unseen
# widest? (c) You have 1 KiB for the buffer of samples. Which setting do you take?

# %% cell="explorer"
explorers.WindowExplorer(windows)

# %% [markdown] cell="vote-text"
# ## A cheap trick, and its price
# Decisions come every half second; why not take the majority of the last few? Person 10 does all seven exercises, 20 seconds each.
# Before you run the cell: what does a majority of 9 decisions do when the exercise changes?

# %% cell="vote-stream"
def vote(said, n):
    """Each decision becomes the most frequent one of the last n."""
    return np.array([np.bincount(said[max(0, i - n + 1) : i + 1]).argmax() for i in range(len(said))])


stream = np.concatenate([by_label[label].signal[:, :1000] for label in range(7)], axis=1)
said_live = predict(network, card.prepare(motion.windows(stream, 128, 25))).numpy()
truth_live = (np.arange(len(said_live)) * 25 + 127) // 1000

# %% cell="vote-figure"
fig, ax = plt.subplots(figsize=(9, 3))
seconds = (np.arange(len(said_live)) * 25 + 128) / 50  # when a window is full
ax.step(seconds, truth_live, where="post", color=style.MEASURED, lw=5, alpha=0.25, label="truth")
for n, color in ((1, style.OURS), (9, style.OTHER)):
    right = np.mean(vote(said_live, n) == truth_live)
    ax.step(seconds, vote(said_live, n), where="post", color=color, lw=1.4, label=f"majority of {n}: {right:.1%}")
ax.set(xlabel="seconds", yticks=range(7), yticklabels=data.labels)
_ = ax.legend(loc="upper left")

# %% [markdown] cell="vote-observe"
# A majority removes single slips, and answers seconds late after every change. Where the network leans to the wrong side for a
# while, as after 80 s, the majority turns half wrong into all wrong. Votes help against *independent* mistakes, and neighbouring
# windows of one person are not independent.

# %% [markdown] cell="paper-text"
# ## The paper says, measured here
# Burns et al. (arXiv:1802.01489, abstract of the first version) recorded ten people with this watch; their folds and networks are
# others. Daghero et al. (arXiv:2209.00839, abstract) put 1-D networks for four data sets on a RISC-V microcontroller, with weights
# of 8 bits and fewer; ours is priced, not measured, on a Cortex-M4 at 8 bits.

# %% cell="paper-table"
from labkit.explorers.windows import measured

workload = labkit.trace(network, card.prepare(test.x[:1]), name="har-cnn")
price = labkit.device("nucleo-l4r5zi").estimate(workload)
ours = card.figures["every person left out once, mean over people and its interval"]
leaked = measured()[128, 64, "both"]["leaked"]
print(f"{'':36}{'papers':22}here")
print(f"{'same people, other windows':36}{'99.6 %':22}{leaked:.1%} (short training)")
print(f"{'people never seen':36}{'87.3 %':22}{ours['accuracy']:.1%} ({ours['low']:.0%} to {ours['high']:.0%}, {ours['n']} people)")
print(f"{'memory':36}{'0.05 to 23.17 kB':22}{(workload.weight_bytes + workload.peak_activation_bytes) / 1000:.1f} kB")
print(f"{'latency':36}{'9 µs to 16 ms':22}{price.latency_ms} ms (estimated)")
print(f"{'energy':36}{'0.05 to 61.59 µJ':22}{price.energy_uj} µJ (estimated)")

# %% [markdown] cell="paper-observe"
# The gap between the first two rows is in their paper as it is in yours: the same data, split in two ways. The lower rows compare
# other chips, other tasks and other number formats, so read only the order of magnitude. The course comes back to each of the
# three: fewer bits, better chips, networks that stop early.

# %% [markdown] cell="reflect-text"
# ## Reflect
# A watch maker shows you "98 % activity recognition". Which two questions do you ask first? And which window and hop would you
# ship, and for whom? Change the two numbers to your choice; later labs can read them.

# %% cell="reflect"
choice = {"window": 128, "hop": 64}
row = measured().get((choice["window"], choice["hop"], "both"), {})
ledger.record("02", **choice, unseen=row.get("accuracy"), shuffled=row.get("leaked"), answer_every_s=choice["hop"] / 50)
ledger.read("02")
