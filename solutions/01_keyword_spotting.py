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
# # 01 · Keyword spotting
#
# **Goal.** Build the whole path from a microphone to a word: frames, spectrum, mel bands, cepstrum, a small network. Then find
# out how good it is, and on whom.
#
# **Time.** 45 minutes. **You need** numpy and lab 00.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio, display

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import features, speech

style.use()
config = features.FeatureConfig()

# %% [markdown] cell="data-text"
# ## One second of sound
# Twelve classes: ten words, *unknown* (any other word) and *silence*. These clips are **synthetic**: the program espeak-ng speaks
# them, with voices, rooms and noise drawn at random. The voices of the three splits are different ones.

# %% cell="data"
voices = speech.load("synthetic", speakers=40)
train, val, unseen = (voices.part(split) for split in ("train", "val", "test"))
print(voices)
print(voices.card)

# %% cell="listen"
index = int(np.flatnonzero(unseen.y == unseen.labels.index("stop"))[0])
clip, rate = unseen.x[index], config.rate_hz
fig, ax = plt.subplots(figsize=(7, 1.8))
ax.plot(np.arange(len(clip)) / rate, clip, color=style.MEASURED, linewidth=0.6)
ax.set(xlabel="seconds", ylabel="amplitude", title="“stop”, SYNTHETIC, 16,000 numbers")
Audio(clip, rate=rate)

# %% [markdown] cell="predict-text"
# A microcontroller cannot feed 16,000 numbers a second to a network and run on a coin cell. It keeps what distinguishes words and
# drops the rest. How much can go?

# %% cell="predict-size"
size = Prediction(
    "01-size", "How many numbers describe one second of speech to the network?", options=["49", "490", "4,900", "16,000"]
)
size

# %% [markdown] cell="frames-text"
# ## Exercise 1 · Frames
# Speech changes slowly: for about 30 ms the tongue stands nearly still. So we cut the sound into overlapping *frames* of `window`
# samples, one every `hop` samples. By hand: 8 samples, windows of 4, hop 2, give three frames, beginning at 0, 2 and 4. A window
# that would run past the end is left out.

# %% cell="ex1-answer" role="answer" exercise="1" hides="data.features.frame"
def frame(signal, window, hop):
    """Overlapping frames of a signal.

    signal  : array (samples,)
    returns : array (frames, window); row i is signal[i·hop : i·hop + window]; only whole frames

    Example: frame([0, 1, 2, 3, 4], 3, 2) is [[0, 1, 2], [2, 3, 4]].
    Hint: how many whole frames fit? Check your formula on the example.
    """
    # BEGIN SOLUTION
    signal = np.asarray(signal)
    count = 1 + (len(signal) - window) // hop
    return np.stack([signal[i * hop : i * hop + window] for i in range(count)])
    # END SOLUTION

# %% cell="ex1-test" role="test" exercise="1"
by_hand = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
check.close("1", lambda: frame(np.arange(8), 4, 2), by_hand, title="8 samples, window 4, hop 2")
check.close("1", lambda: frame(np.arange(8), 3, 4), [[0, 1, 2], [4, 5, 6]], title="window 3, hop 4")
check.equal("1", lambda: np.shape(frame(clip, 480, 320)), (49, 480), title="30 ms every 20 ms", hint="the last frame must be whole")

# %% cell="ex1-check" role="check" exercise="1" points=2
check.value(frame(np.arange(100.0), 25, 10))

# %% cell="ex1-check-edges" role="check" exercise="1" points=1
check.value([np.asarray(frame(np.arange(n) ** 2, 4, 3)).tolist() for n in (4, 6, 7, 12)])

# %% cell="ex1-wrong-short" role="wrong" exercise="1"
# why: forgets the last whole frame
def frame(signal, window, hop):
    signal = np.asarray(signal)
    return np.stack([signal[i : i + window] for i in range(0, max(len(signal) - window, 1), hop)])

# %% cell="ex1-wrong-pad" role="wrong" exercise="1"
# why: pads the last window with zeros instead of leaving it out
def frame(signal, window, hop):
    signal = np.concatenate([signal, np.zeros(window)])
    count = -(-(len(signal) - window) // hop)
    return np.stack([signal[i * hop : i * hop + window] for i in range(count)])

# %% cell="ex1-wrong-hop" role="wrong" exercise="1"
# why: steps by the window, so that frames do not overlap
def frame(signal, window, hop):
    signal = np.asarray(signal)
    count = 1 + (len(signal) - window) // hop
    return np.stack([signal[i * window : (i + 1) * window] for i in range(count) if (i + 1) * window <= len(signal)])

# %% [markdown] cell="spectrum-text"
# ## A spectrum you can check by hand
# The Fourier transform asks of each frequency: how much of you is in this frame? A cosine that swings twice within 8 samples must
# answer at bin 2 alone, with 8 / 2 = 4. When it swings 2.5 times it fits no bin and *leaks* into all; a Hann window, which fades
# the ends of the frame, keeps the leak near.

# %% cell="spectrum"
time = np.arange(8) / 8
print(np.abs(np.fft.rfft(np.cos(2 * np.pi * 2 * time))).round(3))
fig, ax = plt.subplots(figsize=(7, 2.4))
long = np.arange(64) / 64
for name, window, color in (("no window", np.ones(64), style.OTHER), ("Hann window", features.hann(64), style.OURS)):
    spectrum = np.abs(np.fft.rfft(np.cos(2 * np.pi * 10.5 * long) * window))
    ax.plot(20 * np.log10(spectrum / spectrum.max()), color=color, marker=".", label=name)
ax.set(xlabel="bin of the FFT", ylabel="dB below the peak", ylim=(-80, 3), title="10.5 swings in 64 samples")
_ = ax.legend()

# %% [markdown] cell="mel-text"
# ## Exercise 2 · Mel bands
# To the ear, 100 and 200 Hz are as far apart as 2,000 and 2,340. The *mel* scale puts equal hearing at equal distance. We add up
# the spectrum under triangles whose corners are equally far apart in mel: narrow ones for low frequencies, wide ones for high.
# `hz_to_mel` and `mel_to_hz` are given.

# %% cell="ex2-answer" role="answer" exercise="2" hides="data.features.mel_filters"
from labkit.data.features import hz_to_mel, mel_to_hz


def triangle(hz, left, middle, right):
    """0 up to `left`, rising in a straight line to 1 at `middle`, falling to 0 at `right`, 0 beyond. hz: array (bins,).

    Example: triangle([1, 2, 3, 4, 5, 6, 7], 2, 4, 6) is [0, 0, 0.5, 1, 0.5, 0, 0].
    Hint: the smaller one of a rising and a falling line, and never below 0.
    """
    # BEGIN SOLUTION
    hz = np.asarray(hz, dtype=float)
    return np.maximum(0, np.minimum((hz - left) / (middle - left), (right - hz) / (right - middle)))
    # END SOLUTION


def corners(low_hz, high_hz, bands):
    """The corners in Hz of `bands` triangles, each of which starts in the middle of the one before: array (bands + 2,).

    The first is low_hz, the last high_hz, and all are equally far apart in mel.
    """
    # BEGIN SOLUTION
    return mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), bands + 2))
    # END SOLUTION

# %% cell="ex2-test" role="test" exercise="2"
check.close("2", lambda: triangle(np.arange(1, 8), 2, 4, 6), [0, 0, 0.5, 1, 0.5, 0, 0], title="one triangle, by hand")
check.close("2", lambda: np.diff(hz_to_mel(corners(20, 4000, 5))), [352.4] * 6, rtol=1e-3, title="equal steps in mel")
check.equal("2", lambda: len(corners(20, 4000, 5)), 7, title="5 triangles", hint="each has 3 corners, and shares 2 of them")

# %% cell="ex2-check" role="check" exercise="2" points=1 rtol=1e-6 atol=1e-9
check.value(triangle(np.linspace(0, 1000, 33), 210, 400, 930))

# %% cell="ex2-check-corners" role="check" exercise="2" points=2 rtol=1e-6
check.value([np.asarray(corners(low, high, n)).tolist() for low, high, n in ((0, 8000, 3), (300, 3400, 12))])

# %% cell="ex2-wrong-hertz" role="wrong" exercise="2"
# why: the corners are equally far apart in Hz
def corners(low_hz, high_hz, bands):
    return np.linspace(low_hz, high_hz, bands + 2)

# %% cell="ex2-wrong-count" role="wrong" exercise="2"
# why: as many corners as bands
def corners(low_hz, high_hz, bands):
    return mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), bands))

# %% cell="ex2-wrong-negative" role="wrong" exercise="2"
# why: the lines go on below zero
def triangle(hz, left, middle, right):
    hz = np.asarray(hz, dtype=float)
    return np.minimum((hz - left) / (middle - left), (right - hz) / (right - middle))

# %% cell="ex2-wrong-symmetric" role="wrong" exercise="2"
# why: the falling side is as steep as the rising one
def triangle(hz, left, middle, right):
    return np.maximum(0, 1 - np.abs(np.asarray(hz, dtype=float) - middle) / (middle - left))

# %% [markdown] cell="bands-text"
# Your triangles, for eight bands. In the front end of this lab there are forty.

# %% cell="bands"
hz = np.linspace(0, 8000, 257)
with check.needs("2"):
    edges = corners(20, 4000, 8)
    triangles = [triangle(hz, *three) for three in zip(edges, edges[1:], edges[2:])]
    fig, ax = plt.subplots(figsize=(7, 2))
    ax.plot(hz, np.transpose(triangles), color=style.OURS)
    ax.set(xlim=(0, 4500), xlabel="Hz", ylabel="weight", title="8 mel bands")

# %% [markdown] cell="cepstrum-text"
# ## Exercise 3 · Logarithm and cepstrum
# Loudness is heard as ratios, so we take the logarithm of each band. Neighbouring bands still say nearly the same. The cosine
# transform writes the 40 bands as average + slope + curvature + …; ten of these *cepstral coefficients* are enough for the shape
# of the mouth.

# %% cell="ex3-answer" role="answer" exercise="3" hides="data.features.dct_matrix data.features.mfcc"
def cepstrum(log_bands, n):
    """The first n coefficients of the orthonormal cosine transform (DCT-II) along the last axis.

    log_bands : array (..., N);  returns array (..., n)
    c[k] = s[k] · Σ_i log_bands[i] · cos(π k (i + 1/2) / N),   s[0] = √(1/N),   s[k] = √(2/N) for k > 0

    Example: cepstrum([1, 1, 1, 1], 2) is [2, 0].
    Hint: a matrix (N, n) of cosines and one matrix product do it.
    """
    # BEGIN SOLUTION
    log_bands = np.asarray(log_bands)
    size = log_bands.shape[-1]
    cosines = np.cos(np.pi * np.arange(n) * (np.arange(size)[:, None] + 0.5) / size)
    scale = np.full(n, np.sqrt(2 / size))
    scale[0] = np.sqrt(1 / size)
    return log_bands @ cosines * scale
    # END SOLUTION

# %% cell="ex3-test" role="test" exercise="3"
wave = np.cos(np.pi * 2 * (np.arange(4) + 0.5) / 4)
flat_and_wave, by_hand = np.array([[1, 1, 1, 1], wave]), [[2, 0, 0], [0, 0, np.sqrt(2)]]
check.close("3", lambda: cepstrum(flat_and_wave, 3), by_hand, atol=1e-9, title="flat, and one wave")
pi = np.array([3, 1, 4, 1])
check.true("3", lambda: np.isclose(np.sum(cepstrum(pi, 4) ** 2), 27), "all four together keep the energy 9 + 1 + 16 + 1")

# %% cell="ex3-check" role="check" exercise="3" points=3 rtol=1e-6 atol=1e-9
check.value(cepstrum(np.random.default_rng(3).normal(-4, 2, (2, 5, 16)), 6))

# %% cell="ex3-wrong-half" role="wrong" exercise="3"
# why: samples the cosines at i instead of i + 1/2
def cepstrum(log_bands, n):
    size = np.shape(log_bands)[-1]
    scale = np.sqrt(np.where(np.arange(n) == 0, 1, 2) / size)
    return np.asarray(log_bands) @ np.cos(np.pi * np.arange(n) * np.arange(size)[:, None] / size) * scale

# %% cell="ex3-wrong-scale" role="wrong" exercise="3"
# why: the same scale for the average as for the rest
def cepstrum(log_bands, n):
    size = np.shape(log_bands)[-1]
    return np.asarray(log_bands) @ np.cos(np.pi * np.arange(n) * (np.arange(size)[:, None] + 0.5) / size) * np.sqrt(2 / size)

# %% cell="ex3-wrong-last" role="wrong" exercise="3"
# why: keeps the last coefficients, the fine detail, instead of the first
def cepstrum(log_bands, n):
    size = np.shape(log_bands)[-1]
    scale = np.sqrt(np.where(np.arange(size) == 0, 1, 2) / size)
    all_of_them = np.asarray(log_bands) @ np.cos(np.pi * np.arange(size) * (np.arange(size)[:, None] + 0.5) / size) * scale
    return all_of_them[..., -n:]

# %% [markdown] cell="chain-text"
# ## Your front end
# The three exercises in a row are a front end. It must agree with labkit's, which agrees with torchaudio's and, to the rounding
# it states, with the integer arithmetic of a microcontroller.

# %% cell="chain"
def my_log_mel(audio, config):
    frames = np.stack([frame(clip, config.window, config.hop) for clip in audio])
    power = np.abs(np.fft.rfft(frames * features.hann(config.window), config.n_fft)) ** 2
    edges = corners(config.low_hz, config.high_hz, config.n_mels)
    hz = np.linspace(0, config.rate_hz / 2, config.bins)
    bank = np.stack([triangle(hz, *three) for three in zip(edges, edges[1:], edges[2:])], axis=1)
    return np.log(power @ bank + features.LOG_FLOOR)


def my_mfcc(audio, config):
    return cepstrum(my_log_mel(audio, config), config.n_mfcc)

# %% cell="compare"
with check.needs("1", "2", "3"):
    mine, theirs = my_mfcc(clip[None], config)[0], features.mfcc(clip, config)
    frames, coefficients = mine.shape
    print(f"{frames} × {coefficients} = {mine.size} numbers; largest difference to labkit: {np.abs(mine - theirs).max():.1e}")
    pictures = {"40 log mel bands": my_log_mel(clip[None], config)[0], "coefficients 1 to 9": mine[:, 1:]}
    reach = {"40 log mel bands": (0.5, 40.5), "coefficients 1 to 9": (0.5, 9.5)}
    fig, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    for ax, (name, picture) in zip(axes, pictures.items()):
        ax.imshow(picture.T, origin="lower", aspect="auto", extent=(0, frames, *reach[name]))
        ax.set(xlabel="frame", ylabel="number", title=f"“stop”: {name}")
        ax.grid(False)
size.reveal("490")

# %% [markdown] cell="explorer-text"
# ## What may be thrown away?
# The explorer runs *your* functions. Before you move a slider, answer: (1) What happens to the picture when the window grows to
# 64 ms? (2) How few bands can be left before you cannot tell two words apart by eye? (3) Which stage costs the processor most,
# and which slider makes it cheaper?

# %% cell="explorer"
chosen = [int(np.flatnonzero(unseen.y == i)[0]) for i in range(2, len(unseen.labels))]
with check.needs("1", "2", "3"):
    my_mfcc(clip[None], config)
    names = [unseen.labels[unseen.y[i]] for i in chosen]
    display(explorers.FeatureExplorer(unseen.x[chosen], names, my_log_mel, my_mfcc))

# %% [markdown] cell="network-text"
# ## From picture to word
# The 49 × 10 picture goes through DS-CNN (Zhang et al., 2017): one ordinary convolution, then four *depthwise-separable* ones. A
# separable convolution first filters every channel by itself (depthwise, 3 × 3), then mixes channels at each place (pointwise,
# 1 × 1). It replaces one convolution that does both at once.

# %% cell="predict-macs"
saving = Prediction(
    "01-separable", "How many times fewer multiply-accumulates does a separable 3 × 3 block with 64 channels need?",
    low=1, high=100, log=True, unit="times",
)
saving

# %% [markdown] cell="macs-text"
# ## Exercise 4 · Count the multiplications
# A multiply-accumulate (MAC) is one product added to a sum. Count them for both kinds of block. A convolution computes, at every
# position and for every output channel, a dot product over its kernel and all its input channels.

# %% cell="ex4-answer" role="answer" exercise="4" hides="layer.Layer.macs layer.Layer.weights_per_channel"
def convolution_macs(kernel, channels_in, channels_out, positions):
    """MACs of an ordinary convolution. kernel: number of taps (3 × 3 is 9).

    Example: convolution_macs(9, 2, 4, 5) is 360.
    """
    # BEGIN SOLUTION
    return kernel * channels_in * channels_out * positions
    # END SOLUTION


def separable_macs(kernel, channels_in, channels_out, positions):
    """MACs of a depthwise convolution followed by a pointwise (1 × 1) one.

    Example: separable_macs(9, 2, 4, 5) is 90 + 40 = 130.
    """
    # BEGIN SOLUTION
    depthwise = kernel * channels_in * positions
    pointwise = channels_in * channels_out * positions
    return depthwise + pointwise
    # END SOLUTION

# %% cell="ex4-test" role="test" exercise="4"
network, card = models.pretrained("ds-cnn", "synthetic")
workload = labkit.trace(network, card.prepare(clip[None]), name="ds-cnn")
check.equal("4", lambda: [convolution_macs(9, 2, 4, 5), separable_macs(9, 2, 4, 5)], [360, 130], title="by hand")
block = [layer for layer in workload.layers if layer.op in ("conv", "depthwise")][1:3]
check.equal("4", lambda: separable_macs(9, 64, 64, 25 * 5), sum(layer.macs for layer in block), title="the first block, traced")

# %% cell="ex4-check" role="check" exercise="4" points=2
blocks = (9, 64, 64, 125), (25, 3, 8, 100), (1, 5, 7, 2)
check.value([[convolution_macs(*block), separable_macs(*block)] for block in blocks])

# %% cell="ex4-wrong-depthwise" role="wrong" exercise="4"
# why: lets the depthwise part mix channels
def separable_macs(kernel, channels_in, channels_out, positions):
    return kernel * channels_in * channels_in * positions + channels_in * channels_out * positions

# %% cell="ex4-wrong-pointwise" role="wrong" exercise="4"
# why: forgets the pointwise part
def separable_macs(kernel, channels_in, channels_out, positions):
    return kernel * channels_in * positions

# %% cell="ex4-wrong-positions" role="wrong" exercise="4"
# why: counts weights, not MACs, in the ordinary convolution
def convolution_macs(kernel, channels_in, channels_out, positions):
    return kernel * channels_in * channels_out

# %% cell="macs"
with check.needs("4"):
    saving.reveal(convolution_macs(9, 64, 64, 125) / separable_macs(9, 64, 64, 125))
weighted = [layer for layer in workload.layers if layer.macs]
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.bar(range(len(weighted)), [layer.macs / 1e3 for layer in weighted], color=style.OURS)
ax.set_xticks(range(len(weighted)), ["pointwise" if layer.kernel == (1, 1) else layer.op for layer in weighted], rotation=30)
_ = ax.set(ylabel="thousand MACs", title=f"DS-CNN, layer by layer: {workload.macs:,} MACs, {workload.params:,} parameters")

# %% [markdown] cell="macs-observe"
# The depthwise layers do a tenth of the MACs, the pointwise ones three quarters. Keep that in mind: in lab 03 a chip will charge
# for the depthwise layers about twice their share, and counting MACs will mislead you.
#
# ## Does it understand?
# The shipped network was trained by the command on its card. Now it hears voices it was not trained on: a sixth of
# the clips that the card was measured with. A 95 % interval says how far chance alone could have moved an accuracy.

# %% cell="evaluate"
from labkit.training import Recipe, evaluate, fit

x, y = card.prepare(unseen.x), torch.from_numpy(unseen.y)
report = evaluate(network, x, y, unseen.labels)
print(card)
print(report)
fig, ax = plt.subplots(figsize=(5, 4.6))
report.plot(ax)

# %% [markdown] cell="recall-text"
# ## Exercise 5 · Whom does it miss?
# Accuracy is one number for twelve classes. *Recall* says for each class which share of its examples was found; *precision*,
# which share of the answers "stop" really were "stop". A device that wakes for nothing has bad precision; one that must be
# shouted at has bad recall.

# %% cell="ex5-answer" role="answer" exercise="5" hides="report.Report.recall report.Report.balanced_accuracy"
def recall(confusion):
    """For each class the share of its examples that was found: array (classes,).

    confusion : array (classes, classes); confusion[truth, answer] counts examples

    Example: recall([[3, 1], [2, 2]]) is [0.75, 0.5].
    """
    # BEGIN SOLUTION
    confusion = np.asarray(confusion)
    return np.diag(confusion) / confusion.sum(axis=1)
    # END SOLUTION


def precision(confusion):
    """For each class the share of the answers naming it that were right: array (classes,).

    Example: precision([[3, 1], [2, 2]]) is [0.6, 0.667].
    """
    # BEGIN SOLUTION
    confusion = np.asarray(confusion)
    return np.diag(confusion) / confusion.sum(axis=0)
    # END SOLUTION

# %% cell="ex5-test" role="test" exercise="5"
four = np.array([[3, 1], [2, 2]])
check.close("5", lambda: [recall(four), precision(four)], [[0.75, 0.5], [0.6, 2 / 3]], title="by hand")
check.close("5", lambda: recall(report.confusion), list(report.recall.values()), title="twelve classes", hint="rows are the truth")

# %% cell="ex5-check" role="check" exercise="5" points=1 rtol=1e-6
check.value(recall(np.random.default_rng(5).integers(1, 30, (6, 6))))

# %% cell="ex5-check-precision" role="check" exercise="5" points=1 rtol=1e-6
check.value(precision(np.random.default_rng(6).integers(1, 30, (6, 6))))

# %% cell="ex5-wrong-swapped" role="wrong" exercise="5"
# why: recall and precision are swapped
def recall(confusion):
    return np.diag(confusion) / np.sum(confusion, axis=0)


def precision(confusion):
    return np.diag(confusion) / np.sum(confusion, axis=1)

# %% cell="ex5-wrong-total" role="wrong" exercise="5"
# why: divides by all examples, so that the shares of all classes add up to the accuracy
def recall(confusion):
    return np.diag(confusion) / np.sum(confusion)

# %% cell="ex5-wrong-precision" role="wrong" exercise="5"
# why: precision divides by the examples of the class, which is recall
def precision(confusion):
    return np.diag(confusion) / np.sum(confusion, axis=1)

# %% [markdown] cell="baseline-text"
# ## Is a network needed at all?
# Compare with a classifier that fits on a page: means of the cepstrum over six stretches of the word, and a support vector
# machine. And watch a fresh DS-CNN learn for half a minute from the same few voices. Which of the three wins, and why is that not
# quite fair?

# %% cell="baseline"
from labkit.models.baselines import keyword_baseline
from labkit.report import Report

heard, answers = card.extract(train.x), train.y
machine = keyword_baseline().fit(heard, answers)
simple = Report.of(unseen.y, machine.predict(card.extract(unseen.x)), unseen.labels)

# %% cell="train"
fresh, _ = models.build("ds-cnn")
torch.set_num_threads(1)  # two threads are no faster for a network this small
lesson = card.normalise(heard), torch.from_numpy(answers)
exam = card.prepare(val.x), torch.from_numpy(val.y)
history = fit(fresh, lesson, exam, Recipe(epochs=6, batch_size=50))
fig, ax = plt.subplots(figsize=(7, 2.4))
history.plot(ax)

# %% cell="three"
live = evaluate(fresh, x, y, unseen.labels)
for name, result in {"statistics + SVM": simple, "DS-CNN, trained here": live, "DS-CNN, shipped": report}.items():
    low, high = result.interval
    print(f"{name:22} {result.accuracy:6.1%}   (95 % interval {low:.1%} to {high:.1%}, n = {result.n}, SYNTHETIC voices)")

# %% [markdown] cell="gap-text"
# ## And real people?
# Everything so far was spoken by one synthesiser. Its voices differ in pitch, accent and vocal tract, but nobody mumbles, laughs
# or holds the microphone too close. What is the same network worth on real recordings of people it never heard?

# %% cell="predict-gap"
gap = Prediction(
    "01-gap", "Accuracy on real voices, of the DS-CNN that was trained on synthetic ones only?", low=0, high=100, unit="%"
)
gap

# %% cell="gap"
retrained, real_card = models.pretrained("ds-cnn", "mini")
for about in (card, real_card, models.card("keyword-baseline")):
    print(f"{about.name}, trained on {about.data}:")
    for tested, figure in about.figures.items():
        interval = f"{figure['low']:.1%} to {figure['high']:.1%}, n = {figure['n']}"
        print(f"    {figure['accuracy']:6.1%} ({interval}) on {tested}")
gap.reveal(100 * card.figures["unseen real voices"]["accuracy"])

# %% [markdown] cell="gap-observe"
# The first network never heard a person. The second is the same one after six minutes on 3,035 real clips: no layer was added.
# What it lost on synthetic voices is the price. These figures are stored in the cards; if the real clips are on your machine, the
# next cell measures them again.

# %% cell="gap-live"
from labkit.recipes.speech import real_voices

real = real_voices()
if real is None:
    print('The real clips are not here (112 MB): labkit.data.speech.load("mini") downloads them.')
else:
    people = real.part("test")
    real_report = evaluate(retrained, real_card.prepare(people.x), torch.from_numpy(people.y), people.labels)
    print(real_report)

# %% [markdown] cell="paper-text"
# ## The paper says / measured here
# | | accuracy | trained on | network |
# |---|---|---|---|
# | Zhang et al. 2017, arXiv:1711.07128, abstract | 95.4 % | Speech Commands v0.01 | their largest DS-CNN |
# | MLPerf Tiny v0.7, closed division | 90.1–91.1 % | Speech Commands v0.02, all of it | 8-bit, on the board |
# | measured here | the cell above | 3,035 clips of v0.02 | this one |
#
# Ten times less data: read the rows as a range, not as a race.

# %% [markdown] cell="reflect-text"
# ## Reflect
# You are to ship a product that listens for one word. Which number of today decides: accuracy, recall or precision of that word,
# and on whose voices? Write down one threshold you would accept and one test you would insist on. The next cell puts your front
# end and network into the design ledger.

# %% cell="ledger"
ledger.record(
    "01",
    front_end={"window_ms": config.window_ms, "hop_ms": config.hop_ms, "n_mels": config.n_mels, "n_mfcc": config.n_mfcc},
    network=real_card.name,
    macs=workload.macs,
    accuracy=real_card.figures["unseen real voices"]["accuracy"],
)
ledger.read("01")

# %% [markdown] cell="next"
# Next: **02 · Human activity**. Two numbers from this lab come back: the front end's share of the work in lab 03, and the accuracy,
# which must survive whatever is done to make the network cheaper.
