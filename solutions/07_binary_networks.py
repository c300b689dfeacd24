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
# # 07 · Binary networks and the analog front end
#
# **Goal.** Keep one bit of every weight and every activation, multiply without a multiplier, train what has no gradient; then put
# such a network behind a front end without a converter, and find out who uses the energy.
#
# **Time.** 45 minutes. **You need** labs 01 and 03.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from torch import nn

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import binary_features, features, motion, speech
from labkit.hardware import analog_front_end, inner_loops
from labkit.hardware.catalog import load
from labkit.quantization import binary
from labkit.quantization.packed import PackedNetwork
from labkit.training import Recipe, evaluate, fit

style.use()
torch.set_num_threads(1)  # networks this small gain nothing from a second thread

# %% [markdown] cell="predict-text"
# ## Predict first
# If weights and activations are −1 or +1, one 32-bit instruction handles 32 products at once. A Cortex-M4 does two int8 products
# with one instruction, and it has no instruction that counts bits.

# %% cell="predict-cycles"
faster = Prediction(
    "07-cycles",
    "On a Cortex-M4: how many times fewer cycles does a binary product need than an int8 one?",
    low=0.5,
    high=100,
    log=True,
    unit="times",
)
faster

# %% [markdown] cell="sign-text"
# ## Exercise 1 · Nothing but signs
# With two values there is no zero: the sign of 0 must be chosen, and the field chose +1. In memory +1 is bit 1 and −1 is bit 0;
# 32 signs share a word. By hand: +1, −1, +1, +1 are bits 1, 0, 1, 1, the lowest first: 1 + 4 + 8 = 13.


# %% cell="ex1-answer" role="answer" exercise="1" hides="quantization.binary.sign quantization.popcount.pack"
def sign(x):
    """+1 where x >= 0, −1 elsewhere: array of the same shape.  Example: sign([-0.3, 0, 2]) is [-1, 1, 1]."""
    # BEGIN SOLUTION
    return np.where(np.asarray(x) >= 0, 1, -1)
    # END SOLUTION


def pack(signs):
    """Words of 32 bits that hold signs (n,): array (ceil(n / 32),), uint32.

    Sign i is bit i % 32 of word i // 32, counted from the lowest bit; bits that are left over are 0.

    Example: pack([1, -1, 1, 1]) is [13].   Hint: 2**i, one word at a time.
    """
    # BEGIN SOLUTION
    words = np.zeros(-(-len(signs) // 32), np.uint32)
    for i in np.flatnonzero(np.asarray(signs) > 0):
        words[i // 32] |= np.uint32(1 << (i % 32))
    return words
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
check.close("1", lambda: sign([-2, -0.3, 0, 0.1]), [-1, -1, 1, 1], title="four signs")
check.equal("1", lambda: np.asarray(pack([1, -1, 1, 1])).tolist(), [13], title="one word")
check.equal(
    "1",
    lambda: np.asarray(pack([-1] * 33 + [1])).tolist(),
    [0, 2],
    title="34 signs, two words",
    hint="sign 33 is bit 1 of word 1",
)

# %% cell="ex1-check-sign" role="check" exercise="1" points=1
check.value(sign(np.array([[0.0, -0.0, 1e-9], [-1e-9, -7, 3]])))

# %% cell="ex1-check-pack" role="check" exercise="1" points=2
rng = np.random.default_rng(1)
check.value([np.asarray(pack(rng.choice([-1, 1], n))).tolist() for n in (1, 31, 32, 33, 80)])


# %% cell="ex1-wrong-zero" role="wrong" exercise="1"
# why: np.sign gives 0 for 0, a third value
def sign(x):
    return np.sign(x)


# %% cell="ex1-wrong-order" role="wrong" exercise="1"
# why: the first sign becomes the highest bit
def pack(signs):
    bits = "".join("1" if s > 0 else "0" for s in signs)
    return [int(bits[i : i + 32], 2) for i in range(0, len(bits), 32)]


# %% cell="ex1-wrong-filled" role="wrong" exercise="1"
# why: fills the last word with ones
def pack(signs):
    bits = [s > 0 for s in signs] + [True] * (-len(signs) % 32)
    return [sum(b << i for i, b in enumerate(bits[k : k + 32])) for k in range(0, len(bits), 32)]


# %% [markdown] cell="dot-text"
# ## Exercise 2 · A dot product without a product
# A product of two signs is +1 where they agree and −1 where they differ, so a dot product is *agreements − disagreements*.
# Exclusive or marks the differences, *popcount* counts them (arXiv:1603.05279). By hand: in (+ − + +) · (+ + + −) two agree and two
# differ: 0. Unused bits must count nothing.


# %% cell="ex2-answer" role="answer" exercise="2" hides="quantization.popcount.dot quantization.popcount.linear"
def dot(a, w, n):
    """Dot product of n signs, packed in words a and w: a whole number.

    a, w : arrays (words,), uint32, made by pack; their unused bits are 0
    n    : how many signs they hold

    Example: dot([13], [7], 4) is 0.
    Hints: write n as agreements + disagreements. np.bitwise_count counts the ones of every word; its sum is
    unsigned, so make it an int before you subtract it.
    """
    # BEGIN SOLUTION
    differing = np.bitwise_count(np.bitwise_xor(a, w)).sum(dtype=int)
    return n - 2 * differing
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
u32 = np.uint32
by_hand = [([13], [7], 4), ([13], [13], 4), ([13], [2], 4), ([0, 1], [0, 0], 33)]
check.equal(
    "2",
    lambda: [int(dot(u32(a), u32(w), n)) for a, w, n in by_hand],
    [0, 4, -4, 31],
    title="four dot products",
    hint="the unused bits must not count, whatever n is; unsigned numbers have no −4",
)

# %% cell="ex2-check" role="check" exercise="2" points=3
rng = np.random.default_rng(2)
pairs = [
    (rng.integers(0, 2 ** min(n, 32), (2, -(-n // 32)), np.uint32), n) for n in (5, 17, 31, 32)
]
pairs += [(rng.integers(0, 2**32, (2, n // 32), np.uint32), n) for n in (64, 320)]
check.value([int(dot(a, w, n)) for (a, w), n in pairs])


# %% cell="ex2-wrong-once" role="wrong" exercise="2"
# why: n − popcount counts the agreements, but forgets to take the disagreements away
def dot(a, w, n):
    return n - np.bitwise_count(a ^ w).sum(dtype=int)


# %% cell="ex2-wrong-padding" role="wrong" exercise="2"
# why: counts the unused bits of the last word as agreements
def dot(a, w, n):
    return 2 * np.bitwise_count(~(a ^ w)).sum(dtype=int) - n


# %% cell="ex2-wrong-sign" role="wrong" exercise="2"
# why: the sign is turned around
def dot(a, w, n):
    return 2 * np.bitwise_count(a ^ w).sum(dtype=int) - n


# %% [markdown] cell="layer-text"
# Your functions, as a layer: 40 neurons of 300 binary inputs, against the matrix product of numpy. And what it costs: cycles of
# one product, from C kernels whose instructions were counted in an emulator. The lines are 80 % intervals.

# %% cell="layer"
rng = np.random.default_rng(7)
with check.needs("1", "2"):
    x, weights = sign(rng.normal(size=300)), sign(rng.normal(size=(40, 300)))
    words, *packed = (np.asarray(pack(row), np.uint32) for row in (x, *weights))
    sums = [dot(words, row, 300) for row in packed]
    print(f"40 dot products, {np.sum(sums != weights @ x)} of them wrong")
    print(f"float32 weights {4 * weights.size:,} bytes, packed {4 * sum(map(len, packed)):,} bytes")

# %% cell="cycles"
loops = {
    "int8": "int8 weights and activations",
    "binary": "binary weights, int8 activations",
    "xnor": "both binary",
}
for name, words in loops.items():
    print(f"{words:33} {inner_loops.cycles_per_mac('M4', name)} cycles on an M4")

# %% cell="cycles-figure"
fig, ax = plt.subplots(figsize=(7, 2.4))
for name, marker in zip(loops, "osD"):
    costs = [inner_loops.cycles_per_mac(core, name) for core in inner_loops.CORES]
    spread = [[c.mid - c.low for c in costs], [c.high - c.mid for c in costs]]
    middle = [c.mid for c in costs]
    ax.errorbar(middle, range(3), xerr=spread, fmt=marker, capsize=3, label=loops[name])
ax.set(xscale="log", xlabel="cycles of one multiply-accumulate", ylim=(2.5, -0.5))
ax.set_yticks(range(3), ["M4", "M0+", "M0+, slow multiplier"])
ax.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
_ = ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %% cell="cycles-reveal"
int8, xnor = (inner_loops.cycles_per_mac("M4", name).mid for name in ("int8", "xnor"))
faster.reveal(int8 / xnor)

# %% [markdown] cell="cycles-observe"
# Not 16 times: an M4 counts bits in a dozen instructions, and its int8 code is good already. Now look at binary weights with int8
# activations: **slower than int8** on both usual cores, because every activation must be added or subtracted by itself. They save
# memory, not time. Only both together pay.

# %% [markdown] cell="threshold-text"
# ## Exercise 3 · A batch norm becomes one comparison
# Behind a binary layer stand a batch norm and a sign. The sum s is a whole number, so γ(s − μ)/σ + β ≥ 0 becomes *s ≥ limit*
# (arXiv:1612.07119). By hand: γ = 2, μ = 3, σ = 1, β = −1 cross 0 at s = 3.5: limit 4. A negative γ turns it around.


# %% cell="ex3-answer" role="answer" exercise="3" hides="quantization.thresholds"
def threshold(gamma, beta, mean, std):
    """One comparison of whole numbers for each channel: (limit, falling), arrays (channels,).

    The sign of gamma · (s − mean) / std + beta is +1 exactly
        where s >= limit, in a channel that is not falling,
        where s <= limit, in a channel that is falling.
    limit holds whole numbers, falling is True or False; gamma is never 0, std > 0.

    Example: threshold([2, -2], [-1, 1], [3, 3], [1, 1]) is ([4, 3], [False, True]).
    Hint: where does the line cross 0, and on which side of it lies +1? On the line itself: the sign of 0.
    """
    # BEGIN SOLUTION
    gamma, beta, mean, std = map(np.asarray, (gamma, beta, mean, std))
    crossing = mean - beta * std / gamma
    falling = gamma < 0
    return np.where(falling, np.floor(crossing), np.ceil(crossing)).astype(int), falling
    # END SOLUTION


def decide(sums, limit, falling):
    """The signs that the comparisons give; given."""
    return np.where(np.where(falling, sums <= np.asarray(limit), sums >= np.asarray(limit)), 1, -1)


# %% cell="ex3-test" role="test" exercise="3"
norms = {"rising": (2, -1, 3, 1), "falling": (-2, 1, 3, 1), "0 on a sum": (0.5, -1, 2, 1)}
sums = np.arange(-8, 9)
for name, (gamma, beta, mean, std) in norms.items():
    want = np.where(gamma * (sums - mean) / std + beta >= 0, 1, -1)
    check.close(
        "3",
        lambda norm=norms[name]: decide(sums, *threshold(*np.array(norm, float)[:, None])),
        want,
        title=f"{name}: signs of the sums −8 to 8",
    )

# %% cell="ex3-check" role="check" exercise="3" points=3
rng = np.random.default_rng(3)
gamma, beta, mean = (
    rng.choice([-2, -0.5, 0.25, 1], 24),
    rng.integers(-9, 9, 24) / 4,
    rng.integers(-9, 9, 24) / 2,
)
limit, falling = threshold(gamma, beta, mean, np.full(24, 2.0))
check.value(decide(np.arange(-40, 41)[:, None], limit, falling))

# %% cell="ex3-check-equal" role="check" exercise="3" points=1
limit, falling = threshold(
    np.array([1.0, -1, 2, -2]), np.array([3.0, 3, -8, -8]), np.zeros(4), np.ones(4)
)
check.value(decide(np.arange(-6, 7)[:, None], limit, falling))


# %% cell="ex3-wrong-flip" role="wrong" exercise="3"
# why: forgets that a negative gamma turns the comparison around
def threshold(gamma, beta, mean, std):
    crossing = np.asarray(mean) - np.asarray(beta) * std / np.asarray(gamma)
    return np.ceil(crossing), np.zeros(np.shape(crossing), bool)


# %% cell="ex3-wrong-rounding" role="wrong" exercise="3"
# why: rounds to the wrong side
def threshold(gamma, beta, mean, std):
    crossing, falling = (
        np.asarray(mean) - np.asarray(beta) * std / np.asarray(gamma),
        np.asarray(gamma) < 0,
    )
    return np.where(falling, np.ceil(crossing), np.floor(crossing)), falling


# %% cell="ex3-wrong-equal" role="wrong" exercise="3"
# why: off by one where a sum lies on the line, as if the sign of 0 were −1
def threshold(gamma, beta, mean, std):
    crossing, falling = (
        np.asarray(mean) - np.asarray(beta) * std / np.asarray(gamma),
        np.asarray(gamma) < 0,
    )
    return np.where(falling, np.ceil(crossing) - 1, np.floor(crossing) + 1), falling


# %% [markdown] cell="gradient-text"
# ## Exercise 4 · A gradient for a step
# The sign is flat: its derivative is 0 wherever it exists, and nothing would be learned. Training pretends instead that the sign
# were the identity clipped to −1…1: inside, the gradient passes as it is; outside, nothing passes, because a number far from 0
# would be pushed on and on without ever changing its sign (arXiv:1602.02830).


# %% cell="ex4-answer" role="answer" exercise="4" hides="quantization.binary.sign"
def sign_gradient(x, upstream):
    """The gradient that training uses for y = sign(x): array like x.

    x        : what went into the sign
    upstream : gradient of the loss with respect to y, of the same shape

    Example: sign_gradient([-2, 0.5, 1], [3, 3, -4]) is [0, 3, -4]. The ends −1 and 1 belong to the inside.
    """
    # BEGIN SOLUTION
    return np.asarray(upstream) * (np.abs(x) <= 1)
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
x, upstream = np.array([-2, -1, -0.5, 0, 0.5, 1.01]), np.array([3, 3, 3, -4, -4, -4])
check.close("4", lambda: sign_gradient(x, upstream), [0, 3, 3, -4, -4, 0], title="six numbers")

# %% cell="ex4-check" role="check" exercise="4" points=2
rng = np.random.default_rng(4)
check.value(sign_gradient(rng.integers(-6, 7, (5, 6)) / 4, rng.integers(-9, 10, (5, 6))))


# %% cell="ex4-wrong-identity" role="wrong" exercise="4"
# why: lets everything through
def sign_gradient(x, upstream):
    return np.asarray(upstream) * 1


# %% cell="ex4-wrong-true" role="wrong" exercise="4"
# why: the true derivative, 0 everywhere
def sign_gradient(x, upstream):
    return np.zeros(np.shape(x))


# %% cell="ex4-wrong-clipped" role="wrong" exercise="4"
# why: clips the gradient instead of asking where x lies
def sign_gradient(x, upstream):
    return np.clip(upstream, -1, 1)


# %% [markdown] cell="train-text"
# ## Training with your gradient
# The watch of lab 02 is real data: seven exercises, ten people, three of whom are kept for the test. A small network learns four
# times: with real numbers and ReLU, and with signs under three gradients. As usual since XNOR-Net, the first layer and the
# classifier keep real weights.


# %% cell="train-layers"
class StudentSign(torch.autograd.Function):
    gradient = None  # set below, before each training

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.asarray(sign(x.detach().numpy()))).float()

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return torch.from_numpy(
            np.asarray(StudentSign.gradient(x.numpy(), upstream.numpy()))
        ).float()


# %% cell="train-binary"
class Signs(nn.Module):
    def forward(self, x):
        return StudentSign.apply(x)


class BinaryConv(nn.Conv1d):
    def forward(self, x):
        return nn.functional.conv1d(x, StudentSign.apply(self.weight), stride=self.stride)


# %% cell="train-network"
def small_network(conv, activation, seed):
    torch.manual_seed(seed)
    sizes = [(nn.Conv1d, 6, 16, 7), (conv, 16, 32, 5), (conv, 32, 64, 3)]
    layers = []
    for kind, channels, width, kernel in sizes:
        layers += [
            kind(channels, width, kernel, stride=2, bias=False),
            nn.BatchNorm1d(width),
            activation(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 7))


# %% cell="train-data"
watch, prepare = motion.load("watch"), models.card("har-cnn-watch").prepare
parts = {name: watch.part(name) for name in ("train", "val", "test")}
examples = {name: (prepare(part.x), torch.from_numpy(part.y)) for name, part in parts.items()}


def learn(conv, activation, seed=0):
    network = small_network(conv, activation, seed)
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=5e-3, seed=seed)
    history = fit(network, examples["train"], examples["val"], recipe, progress=False)
    reports = {part: evaluate(network, *examples[part], watch.labels) for part in ("train", "test")}
    return history, {part: report.accuracy for part, report in reports.items()}


# %% cell="train"
rules = {"true derivative: 0": lambda x, g: 0 * g, "everything passes": lambda x, g: g}
with check.needs("1", "4"):
    runs = {}
    for name, rule in (rules | {"yours": sign_gradient}).items():
        StudentSign.gradient = staticmethod(rule)
        runs[f"signs, {name}"] = learn(BinaryConv, Signs)
    runs["real numbers"] = learn(nn.Conv1d, nn.ReLU)

    fig, ax = plt.subplots(figsize=(7, 2.6))
    colors = style.WRONG, style.OTHER, style.OURS, style.MEASURED
    for (name, (history, reached)), color in zip(runs.items(), colors):
        ax.plot(
            range(1, 7), history.loss, "o-", color=color, label=f"{name}: {reached['test']:.0%}"
        )
    ax.set(xlabel="epoch", ylabel="training loss", title="legend: accuracy on three strangers")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %% [markdown] cell="train-observe"
# With the true derivative only the classifier learns: nothing passes the signs before it. One run is an anecdote, so here are two
# more seeds of the two that matter. Compare the people who were trained on as well: how much room does a network of signs have
# to learn them by heart?

# %% cell="train-seeds"
with check.needs("1", "4"):
    StudentSign.gradient = staticmethod(sign_gradient)
    for name, layers in {
        "real numbers": (nn.Conv1d, nn.ReLU),
        "signs": (BinaryConv, Signs),
    }.items():
        runs = [learn(*layers, seed)[1] for seed in (1, 2)]
        for part in ("train", "test"):
            figures = ", ".join(f"{run[part]:.1%}" for run in runs)
            print(f"{name:13} {part:6} {figures}")

# %% [markdown] cell="seeds-observe"
# On the people it was trained on, the network of signs stays behind; on strangers the two cannot be told apart: seeds differ more.
# That is one easy task with three test people. Below comes a harder one.

# %% [markdown] cell="front-end-text"
# ## A front end without a converter
# The paper of this lab (arXiv:2201.03386) lets an analog circuit hand over bits: no converter, no FFT. We know its abstract
# only, so this is **our stand-in**: 32 band-pass filters, each with a rectifier, an integrator and two comparators. *Contrast*:
# louder than all bands on average? *Level*: louder than that average of late?

# %% cell="front-end"
voices = speech.load("synthetic", speakers=40).part("test")
word = int(np.flatnonzero(voices.y == voices.labels.index("stop"))[0])
clip = voices.x[word][None]
held = binary_features.envelopes(clip)
bits = binary_features.compare(held)
print(f"{clip.size:,} samples → {held.size:,} voltages → {bits.size:,} bits")

# %% cell="front-end-figure"
pictures = {"integrators (dB)": 20 * np.log10(held[0] + 1e-6)}
pictures |= {"contrast": bits[0, 0], "level": bits[0, 1]}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, (name, picture) in zip(axes, pictures.items()):
    colours = "viridis" if "dB" in name else "Greys"
    ax.imshow(picture.T, origin="lower", aspect="auto", extent=(0, 1, 0, 32), cmap=colours)
    ax.set(xlabel="seconds", title=name)
    ax.grid(False)
axes[0].set_ylabel("band")
_ = fig.suptitle("“stop”, SYNTHETIC")

# %% [markdown] cell="network-text"
# ## The shipped binary network
# Four full convolutions with signs between them; a depthwise filter would add up 9 signs only. It was trained on real voices,
# behind this front end, by the command on its card.

# %% cell="network"
network, card = models.pretrained("binary-kws", "mini")
print(card)

# %% [markdown] cell="norm-text"
# Behind its second convolution stand 64 batch norms. A sum of 64 × 3 × 3 products lies between −576 and 576. A float32 line is
# rounded, so a sum that lies on it may fall on the other side; labkit therefore asks the network itself about **every** sum. Does
# your formula ever differ?

# %% cell="norm"
norm = network.features[4]
with check.needs("3"):
    std = torch.sqrt(norm.running_var.double() + norm.eps)
    line = norm.weight, norm.bias, norm.running_mean, std
    mine = threshold(*(values.detach().double().numpy() for values in line))
    sums = np.arange(-576, 577)[:, None]
    differ = decide(sums, *mine) != binary.thresholds(norm, reach=576)(sums)
    print(f"{differ.sum()} of {differ.size:,} signs differ")

# %% [markdown] cell="packed-text"
# Now the whole network in integers, without PyTorch: exclusive or, popcount, comparisons. If each part is exact, then so is the
# whole, and nothing has to be forgiven.

# %% cell="packed"
heard = card.prepare(voices.x[np.arange(0, len(voices.y), 4)])
with torch.no_grad():
    floats = network(heard).numpy()
whole = PackedNetwork.of(network).logits(heard.numpy())
print(f"{len(floats)} clips, {floats.size:,} logits: {np.sum(whole != floats)} differ")
print(f"decisions that differ: {np.sum(whole.argmax(1) != floats.argmax(1))}")

# %% cell="size"
workload = labkit.trace(network, heard[:1], name="binary-kws")
print(f"{workload.params:,} parameters, {workload.weight_bytes / 1024:.1f} KiB")

# %% [markdown] cell="accuracy-text"
# ## What does it lose?
# All heard the same clips of real people they never met: DS-CNN behind MFCCs, the binary network behind its bits, and between them
# the same network with real numbers inside, on the same bits. That parts what the bits of the front end cost from what the signs
# cost. DS-CNN has an advantage: it learned from synthetic voices first.

# %% cell="predict-loss"
digital = [models.card(f"ds-cnn-mini{s}").figures["unseen real voices"] for s in ("", "-1", "-2")]
average = np.mean([figure["accuracy"] for figure in digital])
loss = Prediction(
    "07-loss",
    f"DS-CNN answers {average:.0%} correctly. And the binary network behind the bits?",
    low=10,
    high=100,
    unit="%",
)
loss

# %% cell="accuracy"
table = models.card("binary-kws-table").figures
groups = {
    "DS-CNN, MFCC": digital,
    "real numbers, bits": [f for name, f in table.items() if "float" in name],
    "signs, bits": [f for name, f in table.items() if "binary" in name],
}
seeds = {name: [100 * f["accuracy"] for f in figures] for name, figures in groups.items()}
mean = {name: np.mean(accuracy) for name, accuracy in seeds.items()}
for name, accuracy in seeds.items():
    print(f"{name:20} {mean[name]:.1f} %, seeds {min(accuracy):.1f} to {max(accuracy):.1f}")
print(f"n = {digital[0]['n']} clips")

# %% cell="accuracy-figure"
fig, ax = plt.subplots(figsize=(7, 1.8))
for row, accuracy in enumerate(seeds.values()):
    ax.plot(accuracy, [row] * len(accuracy), "o", color=style.MEASURED)
ax.set_yticks(range(len(seeds)), seeds)
ax.set(xlabel="accuracy (%), unseen real voices", xlim=(50, 100), ylim=(2.5, -0.5))
loss.reveal(round(mean["signs, bits"], 1))

# %% [markdown] cell="energy-text"
# ## Exercise 5 · Who pays?
# The abstract says: acquisition and preprocessing took 85 % of the energy; the analog front end made them 29 times cheaper. By
# hand: front end 85 → 2.93, network 15 → 15, together 17.93 of 100. The whole gets 100 / 17.93 = 5.6 times cheaper, and
# 2.93 / 17.93 = 16 % of the rest is front end.

# %% cell="predict-71"
ceiling = Prediction(
    "07-ceiling",
    "With 85 % in the front end and the same network: the most that any front end can gain for the whole?",
    options=["6.7 times", "29 times", "71 times", "no limit"],
)
ceiling


# %% cell="ex5-answer" role="answer" exercise="5" hides="hardware.analog_front_end.Shares"
def after(share, front_end_gain, network_gain):
    """(share of the front end afterwards, how many times cheaper the whole becomes).

    share          : share of the energy that the front end had before, 0 to 1; the rest was the network's
    front_end_gain : how many times cheaper the front end becomes
    network_gain   : how many times cheaper the network becomes

    Example: after(0.5, 5, 1) is (0.1667, 1.667): 0.5 → 0.1 beside 0.5.
    """
    # BEGIN SOLUTION
    front_end = share / front_end_gain
    network = (1 - share) / network_gain
    return front_end / (front_end + network), 1 / (front_end + network)
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
check.close("5", lambda: after(0.5, 5, 1), [1 / 6, 1 / 0.6], title="half, 5 times cheaper")
check.close("5", lambda: after(0.5, 2, 2), [0.5, 2], title="both halves")
check.close(
    "5", lambda: after(0.85, 29, 1), [0.163, 5.58], rtol=0.01, title="the published figures"
)

# %% cell="ex5-check" role="check" exercise="5" points=3
check.value([list(after(s, f, n)) for s in (0.2, 0.47, 0.9) for f in (3, 40) for n in (1, 7)])


# %% cell="ex5-wrong-added" role="wrong" exercise="5"
# why: averages the two gains, where energies must be added
def after(share, front_end_gain, network_gain):
    gain = share * front_end_gain + (1 - share) * network_gain
    return share * front_end_gain / gain, gain


# %% cell="ex5-wrong-forgotten" role="wrong" exercise="5"
# why: forgets that the energy of the network stays
def after(share, front_end_gain, network_gain):
    return share / front_end_gain, front_end_gain / share


# %% cell="ex5-wrong-share" role="wrong" exercise="5"
# why: the share is taken of the energy before
def after(share, front_end_gain, network_gain):
    left = share / front_end_gain + (1 - share) / network_gain
    return share / front_end_gain, 1 / left


# %% [markdown] cell="explorer-text"
# ## Move it yourself
# The explorer runs *your* function. Questions first. (a) Which network gain would turn 5.6 into 10? (b) The abstract also offers
# 71 times less energy: can any front-end slider reach it? What may it be the energy of? (c) Choose one of our boards as
# *before*: is an analog front end still the first thing to build?

# %% cell="explorer"
with check.needs("5"):
    after(0.85, 29, 1)
    display(explorers.ShareExplorer(after))
ceiling.reveal("6.7 times")

# %% [markdown] cell="bill-text"
# ## Our own bill
# One second of microphone, MFCC, and one decision on a Cortex-M4, all estimated, 80 % intervals. Then the binary network in place
# of DS-CNN. The front end in silicon is not on the bill: nobody gave us a figure for ours.

# %% cell="bill"
board = labkit.device("nucleo-l4r5zi")
networks = {"DS-CNN, int8": labkit.trace(*models.build("ds-cnn")), "binary network": workload}
bills = {
    name: analog_front_end.budget(board, features.workload(), priced)
    for name, priced in networks.items()
}
for name, bill in bills.items():
    print(f"{name}: {networks[name].macs / 1e6:.1f} million MACs, {bill.network_uj * 1e-3} mJ")
print(f"MFCC: {bill.preprocessing_uj * 1e-3} mJ")
print(f"microphone: {bill.acquisition_uj * 1e-3} mJ")

# %% cell="bill-share"
share = bills["DS-CNN, int8"].front_end_share * 100
print(f"microphone and MFCC beside DS-CNN: {share} %")

# %% [markdown] cell="bill-observe"
# A binary product is four times cheaper, yet this network saves little: it needs two and a half times as many products, and its
# first layer still has 8-bit weights. And on our board the front end takes about half of the energy, not 85 %: another
# processor, another network, another reference. A share belongs to a whole system.

# %% [markdown] cell="paper-text"
# ## The paper says / measured here
# arXiv:2201.03386, known to us by its abstract. Their circuit is silicon; ours is a model of the signal, without an energy of its
# own. Their ten classes are compared with the best of others, our twelve with our DS-CNN; we train on 3,035 real clips. So the
# last line is no contradiction, and no confirmation.

# %% cell="paper-table"
said = {name: number.value for name, number in load("analog_front_end")["published"].items()}
computed = analog_front_end.published().share_after
points = mean["signs, bits"] - mean["DS-CNN, MFCC"]
print("                           the paper   here")
print(f"front end's share before   {said['share_before']:.0%}         {share} %, estimated")
print(f"its gain                   {said['front_end_gain']} ×        not modelled")
print(
    f"its share after            {said['share_after']:.0%}         {computed:.1%}, from the two above"
)
print(f"accuracy (points)          {said['accuracy_over_others']:+}          {points:+.1f}")

# %% [markdown] cell="reflect-text"
# ## Reflect
# You may improve one thing of a device that listens all day: microphone, front end, network or processor. Which do you take,
# from which number? And would you ship the binary network with the accuracy above? The cell below enters the decision.

# %% cell="ledger"
ledger.record(
    "07", improve="front end", network="ds-cnn", binary_accuracy_percent=float(mean["signs, bits"])
)
ledger.read("07")
