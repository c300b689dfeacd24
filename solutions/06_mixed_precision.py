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
# # 06 · Mixed precision
#
# **Goal.** Give every layer, then every channel, the bits it deserves: first by measuring what hurts, then by letting gradient
# descent choose while it trains.
#
# **Time.** 45 minutes. **You need** lab 04 (codes, scales, 2-bit weights); lab 03 helps.

# %% cell="setup"
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import labkit
from labkit import explorers, models
from labkit.course import Prediction, check, ledger, style
from labkit.data import motion
from labkit.explorers import bits as searches
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.formats import Int
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.mixed import assignment
from labkit.quantization.mixed.price import price_table
from labkit.quantization.mixed.search import TEMPERATURE, MixedPrecision
from labkit.quantization.mixed.sensitivity import hessian_trace, predicted_increase
from labkit.training import Recipe, fit, predict

style.use()
torch.set_num_threads(1)  # a network this small gains nothing from a second thread

# %% [markdown] cell="network-text"
# ## The network
# The activity network of lab 02, batch norms folded: three convolutions and a linear layer, 9,824 weights. Seven people with a
# watch taught it; three strangers test it. Each layer may have 0, 2, 4 or 8 bits a weight, where 0 means *pruned*: gone.

# %% cell="network"
model, card = models.pretrained("har-cnn", "watch")
folded = fold_batch_norms(model)
data = motion.load("watch")
people, strangers = data.only(data.split != "test"), data.part("test")
learn_x, learn_y = card.prepare(people.x), torch.from_numpy(people.y)
test_x, test_y = card.prepare(strangers.x), torch.from_numpy(strangers.y)
workload = labkit.trace(folded, test_x[:1], name="HAR-CNN")
layers = [layer for layer in workload.layers if layer.weights_per_channel]
names, bits = [layer.name for layer in layers], (0, 2, 4, 8)
for layer in layers:
    print(f"{layer.name:13} {layer.out_channels:3} channels of {layer.weights_per_channel} weights")

# %% [markdown] cell="predict-energy-text"
# ## Predict first
# MPIC is a RISC-V core that multiplies numbers of 2, 4 or 8 bits in any combination (Ottavi et al., arXiv:2010.04073). Shrink all
# weights from 8 to 2 bits and leave the activations at 8. The weights take a quarter of the memory. And the energy?

# %% cell="predict-energy-card"
energy_saved = Prediction(
    "06-energy",
    "Weights from 8 to 2 bits, activations at 8: how much less energy on MPIC?",
    low=0,
    high=100,
    unit="%",
)
energy_saved

# %% cell="reveal-energy"
mpic = labkit.device("mpic")
at_8, at_2 = (mpic.estimate(workload.with_bits(b, 8)).energy_uj for b in (8, 2))
print(f"8-bit weights {at_8} µJ, 2-bit weights {at_2} µJ (80 % interval)")
energy_saved.reveal(round(100 * (1 - at_2.mid / at_8.mid)))

# %% [markdown] cell="energy-observe"
# Its dot product is as fast as the wider of the two operands lets it be: 2.1 MACs a cycle for 8 × 8 bits, 2.5 for 8 × 2, and 6.5
# only for 2 × 2. Narrow weights save memory first. Energy they save when they are gone altogether: a pruned channel costs
# nothing.

# %% [markdown] cell="sensitivity-text"
# ## Exercise 1 · Which layer is touchy?
# Round one layer, leave the others, look at the loss: the increase is the layer's *sensitivity*. By hand: the loss is (a − 1)² +
# 10 (b − 1)², the weights a = 0.8 and b = 1.2, so the loss is 0.44. Rounding a gives 0.4, rounding b gives 0.04. The increases
# are −0.04 and −0.4: rounding may even help.


# %% cell="ex1-answer" role="answer" exercise="1" hides="quantization.mixed.sensitivity.loss_increase"
def sensitivity(weights, loss, quantize):
    """By how much the loss grows when one layer alone is quantized.

    weights  : dict, layer name -> array
    loss     : function of such a dict, returns a number
    quantize : function of an array, returns the quantized array
    returns  : dict, layer name -> loss with this layer quantized minus loss before

    When you are done, `weights` must be what it was. Hint: {**weights, name: new} is a copy with one entry replaced.
    """
    # BEGIN SOLUTION
    before = loss(weights)
    return {name: loss({**weights, name: quantize(w)}) - before for name, w in weights.items()}
    # END SOLUTION


# %% cell="ex1-test" role="test" exercise="1"
toy = {"a": np.array([0.8]), "b": np.array([1.2])}


def toy_loss(w):
    return float((w["a"][0] - 1) ** 2 + 10 * (w["b"][0] - 1) ** 2)


check.close(
    "1",
    lambda: [sensitivity(toy, toy_loss, np.round)[name] for name in "ab"],
    [-0.04, -0.4],
    title="a and b of the text",
)
check.equal(
    "1",
    lambda: [float(toy["a"][0]), float(toy["b"][0])],
    [0.8, 1.2],
    title="the weights are left alone",
)

# %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-6
rng = np.random.default_rng(6)
three = {name: rng.normal(size=5) for name in ("first", "middle", "last")}


def product_loss(w):
    return float(np.sum((w["first"] * w["middle"] + w["last"]) ** 2))


found = sensitivity(three, product_loss, np.round)
check.value({**{name: found[name] for name in three}, "after": product_loss(three)})


# %% cell="ex1-wrong-restore" role="wrong" exercise="1"
# why: does not restore a layer, so that the next one is measured on a damaged network
def sensitivity(weights, loss, quantize):
    before, increase = loss(weights), {}
    for name in list(weights):
        weights[name] = quantize(weights[name])
        increase[name] = loss(weights) - before
    return increase


# %% cell="ex1-wrong-loss" role="wrong" exercise="1"
# why: the loss, not its increase
def sensitivity(weights, loss, quantize):
    return {name: loss({**weights, name: quantize(w)}) for name, w in weights.items()}


# %% cell="ex1-wrong-others" role="wrong" exercise="1"
# why: quantizes all other layers
def sensitivity(weights, loss, quantize):
    every = {name: quantize(w) for name, w in weights.items()}
    return {name: loss({**every, name: w}) - loss(weights) for name, w in weights.items()}


# %% [markdown] cell="sensitivity-real-text"
# Now the real network. `quantized` rounds each output channel to a grid of its own, as in lab 04. The loss is the cross-entropy
# over every fifth training window, because a budget must not be spent by looking at the test. Which layer hurts most at 2 bits?
# Look at the sizes above, and commit.

# %% cell="predict-layer-card"
touchy = Prediction("06-layer", "Which layer raises the loss most at 2 bits?", options=names)
touchy


# %% cell="sensitivity-real"
def quantized(w, b):
    """Weights (channels, ...) at b bits, one scale a channel; 0 bits are zeros."""
    w = np.asarray(w, dtype=float)
    if b == 0:
        return np.zeros_like(w)
    largest = np.abs(w).reshape(len(w), -1).max(axis=1).reshape(-1, *[1] * (w.ndim - 1))
    scale = np.maximum(largest, 1e-12) / (2 ** (b - 1) - 1)
    return np.round(w / scale) * scale


def network_loss(weights):
    changed = {f"{name}.weight": torch.from_numpy(w).float() for name, w in weights.items()}
    with torch.no_grad():
        logits = torch.func.functional_call(folded, changed, (learn_x[::5],))
    return F.cross_entropy(logits, learn_y[::5]).item()


weights = {name: folded.get_submodule(name).weight.detach().numpy() for name in names}

# %% cell="sensitivity-figure"
with check.needs("1"):
    columns = [sensitivity(weights, network_loss, lambda w, b=b: quantized(w, b)) for b in bits]
    damage = np.array([[column[name] for column in columns] for name in names])
    fig, ax = plt.subplots(figsize=(7, 2.6))
    for shift, column in enumerate((1, 2, 3)):
        x = np.arange(len(names)) + 0.25 * (shift - 1)
        ax.bar(x, damage[:, column], 0.22, label=f"{bits[column]} bits")
    ax.set(xticks=range(len(names)), ylabel="increase of the loss", title="one layer at a time")
    ax.set_xticklabels(names)
    ax.legend()
    touchy.reveal(names[int(damage[:, 1].argmax())])

# %% [markdown] cell="greedy-text"
# ## Exercise 2 · A budget of bytes
# Two tables: damage[l, b] from above, and price[l, b], the bytes of layer l at width b. Spend at most a budget, with as little
# damage as possible. *Greedy*: start with the widest everywhere; as long as it is too expensive, make the one change that does
# the least additional damage **per byte saved**. By hand, below: layer 1 loses 5 to save 1, layer 2 loses 1 to save 1.


# %% cell="ex2-answer" role="answer" exercise="2" hides="quantization.mixed.assignment"
def greedy(damage, price, budget):
    """The column chosen for each layer, (layers,), its total price at most `budget`.

    damage, price : arrays (layers, widths); the last column is the widest: least damage, highest price

    Start with the last column everywhere. While the total is above the budget, change one layer to a column that is cheaper than
    its present one: of all such changes the one with the least (increase of damage) / (decrease of price).
    Example: greedy([[5, 0], [1, 0]], [[1, 2], [1, 2]], 3) is [1, 0].
    """
    # BEGIN SOLUTION
    damage, price = np.asarray(damage, dtype=float), np.asarray(price, dtype=float)
    layers = np.arange(len(price))
    choice = np.full(len(price), price.shape[1] - 1)
    while price[layers, choice].sum() > budget:
        saved = price[layers, choice][:, None] - price
        hurt = damage - damage[layers, choice][:, None]
        rate = np.where(saved > 0, hurt / np.where(saved > 0, saved, 1), np.inf)
        layer, column = np.unravel_index(rate.argmin(), rate.shape)
        choice[layer] = column
    return choice
    # END SOLUTION


# %% cell="ex2-test" role="test" exercise="2"
check.close(
    "2",
    lambda: greedy(np.array([[5, 0], [1, 0]]), np.array([[1, 2], [1, 2]]), 3),
    [1, 0],
    title="the text's two layers",
)
check.close(
    "2",
    lambda: greedy(np.array([[3, 0], [2, 0]]), np.array([[1, 9], [1, 2]]), 6),
    [0, 1],
    title="saving 8 bytes for 3 beats saving 1 for 2",
)
check.close(
    "2",
    lambda: greedy(np.array([[9, 4, 0], [9, 8, 0]]), np.array([[0, 4, 8], [0, 4, 8]]), 12),
    [1, 2],
    title="widths",
)

# %% cell="ex2-check" role="check" exercise="2" points=3
rng = np.random.default_rng(62)
tables = [
    (-np.sort(-rng.gamma(0.5, size=(7, 4)), axis=1), np.sort(rng.integers(1, 99, (7, 4)), axis=1))
    for _ in range(4)
]
check.value(
    [
        [int(column) for column in greedy(d, p, p[:, 0].sum() + part * np.ptp(p, axis=1).sum())]
        for d, p in tables
        for part in (0.2, 0.5, 0.9)
    ]
)


# %% cell="ex2-wrong-price" role="wrong" exercise="2"
# why: takes the change with the least damage, whatever it saves
def greedy(damage, price, budget):
    damage, price = np.asarray(damage, dtype=float), np.asarray(price, dtype=float)
    layers = np.arange(len(price))
    choice = np.full(len(price), price.shape[1] - 1)
    while price[layers, choice].sum() > budget:
        cheaper = price < price[layers, choice][:, None]
        hurt = np.where(cheaper, damage - damage[layers, choice][:, None], np.inf)
        layer, column = np.unravel_index(hurt.argmin(), hurt.shape)
        choice[layer] = column
    return choice


# %% cell="ex2-wrong-budget" role="wrong" exercise="2"
# why: stops one change too early and overshoots the budget
def greedy(damage, price, budget):
    damage, price = np.asarray(damage, dtype=float), np.asarray(price, dtype=float)
    layers, choice = np.arange(len(price)), np.full(len(price), price.shape[1] - 1)
    while True:
        saved = price[layers, choice][:, None] - price
        hurt = damage - damage[layers, choice][:, None]
        rate = np.where(saved > 0, hurt / np.where(saved > 0, saved, 1), np.inf)
        layer, column = np.unravel_index(rate.argmin(), rate.shape)
        after = choice.copy()
        after[layer] = column
        if price[layers, after].sum() <= budget:
            return choice
        choice = after


# %% cell="ex2-wrong-constant" role="wrong" exercise="2"
# why: the narrowest width everywhere always fits
def greedy(damage, price, budget):
    return np.zeros(len(price), dtype=int)


# %% [markdown] cell="exact-text"
# Greedy never takes a step back. The best assignment is an *integer programme*: one 0-or-1 variable for each layer and width, one
# linear constraint (HAWQ-V3, Yao et al., arXiv:2011.10680); a solver finds it at once for so few layers. Is the detour worth it?
# And do damages really add up, as both assume? The crosses measure the whole assignment.

# %% cell="exact-figure"
with check.needs("1", "2"):
    price = price_table(workload, bits)[:, 1:]  # no layer may vanish: columns 2, 4 and 8 bits
    hurts = damage[:, 1:]
    budgets = np.linspace(price.min(axis=1).sum(), price.max(axis=1).sum(), 12)
    fig, ax = plt.subplots()
    for solve, about, look in ((greedy, "greedy", "s-"), (assignment.exact, "exact", "o--")):
        chosen = [np.asarray(solve(hurts, price, budget)) for budget in budgets]
        sums = [assignment.total(hurts, choice) for choice in chosen]
        ax.plot(budgets, sums, look, mfc="none", label=f"{about}: sum of damages")
    measured = []
    for choice in chosen:
        rounded = {n: quantized(weights[n], bits[1 + c]) for n, c in zip(names, choice)}
        measured.append(network_loss(rounded) - network_loss(weights))
    ax.plot(budgets, measured, "x", color=style.MEASURED, label="exact: measured together")
    ax.set(xlabel="budget (bytes of weights and biases)", ylabel="increase of the loss")
    ax.legend()

# %% [markdown] cell="hessian-text"
# ## Sensitivity without trying
# At a minimum the gradient vanishes, and rounding by Δw costs about ½ Δwᵀ H Δw ≈ ½ · Tr(H)/n · ‖Δw‖², with the Hessian H of the
# loss (HAWQ-V2, Dong et al., arXiv:1911.03852). Its trace comes from a few backward passes with random signs (Hutchinson). On the
# dashed line reasoning and trying agree.

# %% cell="hessian"
few = [(learn_x[::25], learn_y[::25])]
traces = hessian_trace(folded, few, samples=4)
guessed = predicted_increase(folded, traces, [Int(b) for b in (2, 3, 4)])
with check.needs("1"):
    fig, ax = plt.subplots(figsize=(4.6, 3.2))
    for column, b in enumerate((2, 3, 4)):
        tried = sensitivity(weights, network_loss, lambda w, b=b: quantized(w, b))
        pairs = [(guessed[name][column], max(tried[name], 1e-5)) for name in names]
        ax.loglog(*np.transpose(pairs), "o^s"[column], label=f"{b} bits")
    ax.loglog([1e-5, 1e2], [1e-5, 1e2], "--", color=style.GHOST, lw=1)
    ax.set(xlabel="predicted from the Hessian", ylabel="measured increase of the loss")
    ax.legend()

# %% [markdown] cell="hessian-observe"
# The order of the layers is mostly right, for a few backward passes. The sizes are off by a factor of up to six: training was
# stopped before the minimum, and rounding errors do point somewhere. And where rounding happens to help (drawn at 1e-5, the
# classifier), no formula with a positive trace can say so.

# %% [markdown] cell="cost-text"
# ## Exercise 3 · A price with a gradient
# So far widths came after training. Now they learn with it. Each channel has a number θ for each width; p = softmax(θ) is how
# much it believes in each. What the layer will cost is then an *expectation*, and it has a gradient. By hand: θ = 0, so 0, 2, 4,
# 8 bits have p = ¼ each, 3.5 bits on average; with 8 weights 3.5 bytes. A bias of 4 bytes is there unless pruned: 3 more.


# %% cell="ex3-answer" role="answer" exercise="3" hides="quantization.mixed.price.expected_cost"
def expected_bytes(theta, bits, n):
    """The bytes that a layer is expected to take.

    theta : array (channels, widths); each row is a channel, p = softmax over its widths
    bits  : the widths, such as (0, 2, 4, 8); 0 means pruned, and a pruned channel has no bias either
    n     : weights behind each channel; a bias takes 4 bytes

    Examples: expected_bytes([[0, 0, 0, 0]], (0, 2, 4, 8), 8) is 6.5; two such channels take 13.
    """
    # BEGIN SOLUTION
    theta, bits = np.asarray(theta, dtype=float), np.asarray(bits)
    p = np.exp(theta - theta.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return float((p @ (n * bits / 8 + 4 * (bits > 0))).sum())
    # END SOLUTION


# %% cell="ex3-test" role="test" exercise="3"
sure = 50 * np.eye(4)[[0, 1, 3]]  # three channels that are sure: pruned, 2 bits, 8 bits
check.close("3", lambda: expected_bytes(np.zeros((1, 4)), bits, 8), 6.5, title="θ = 0")
check.close("3", lambda: expected_bytes(np.zeros((2, 4)), bits, 8), 13, title="two channels")
check.close(
    "3", lambda: expected_bytes(sure, bits, 16), 4 + 16 + 2 * 4, title="three sure channels"
)

# %% cell="ex3-check" role="check" exercise="3" points=2 rtol=1e-6
rng = np.random.default_rng(63)
check.value(
    [
        float(expected_bytes(rng.normal(size=(channels, len(widths))) * 2, widths, n))
        for channels, widths, n in ((5, (0, 2, 4, 8), 42), (4, (2, 4, 8), 9), (3, (0, 1, 8), 100))
    ]
)


# %% cell="ex3-wrong-argmax" role="wrong" exercise="3"
# why: the likeliest width only: right in the end, but flat on the way, so without a gradient
def expected_bytes(theta, bits, n):
    chosen = np.asarray(bits)[np.asarray(theta).argmax(axis=1)]
    return float((n * chosen / 8 + 4 * (chosen > 0)).sum())


# %% cell="ex3-wrong-bias" role="wrong" exercise="3"
# why: forgets that a pruned channel has no bias
def expected_bytes(theta, bits, n):
    p = np.exp(np.asarray(theta, dtype=float))
    p = p / p.sum(axis=1, keepdims=True)
    return float((p @ (n * np.asarray(bits) / 8 + 4)).sum())


# %% cell="ex3-wrong-axis" role="wrong" exercise="3"
# why: softmax over the channels instead of the widths
def expected_bytes(theta, bits, n):
    bits, p = np.asarray(bits), np.exp(np.asarray(theta, dtype=float))
    p = p / p.sum(axis=0, keepdims=True)
    return float((p @ (n * bits / 8 + 4 * (bits > 0))).sum())


# %% cell="ex3-wrong-mean" role="wrong" exercise="3"
# why: the mean over the channels instead of their sum
def expected_bytes(theta, bits, n):
    bits, p = np.asarray(bits), np.exp(np.asarray(theta, dtype=float))
    p = p / p.sum(axis=1, keepdims=True)
    return float((p @ (n * bits / 8 + 4 * (bits > 0))).mean())


# %% [markdown] cell="mixture-text"
# ## Exercise 4 · A weight that is several
# The loss must feel the choice too. While it searches, a channel uses the mixture of its quantized versions, w = Σ p_b · Q_b(w)
# (Cai & Vasconcelos, arXiv:2004.05795, one p a layer; Risso et al., arXiv:2206.08852, one p a **channel**). Q_0 is zero: belief
# in 0 bits makes a channel fainter. `quantized(w, b)` from above is Q_b.


# %% cell="ex4-answer" role="answer" exercise="4" hides="quantization.mixed.search.MixedWeight"
def mixture(w, p, bits):
    """The weights that a searching layer computes with.

    w       : array (channels, n)
    p       : array (channels, widths); row c says how much channel c believes in each width
    bits    : the widths; quantized(w, b) gives the weights at b bits
    returns : array (channels, n)

    Example: with p = [[0, 1], [0.5, 0.5]] and bits (0, 8) the second channel has half its 8-bit weights.
    """
    # BEGIN SOLUTION
    p = np.asarray(p)
    return sum(p[:, [column]] * quantized(w, b) for column, b in enumerate(bits))
    # END SOLUTION


# %% cell="ex4-test" role="test" exercise="4"
two = np.array([[1.0, -0.2, 0.6], [3.0, -1.0, 2.0]])
check.close(
    "4",
    lambda: mixture(two, np.array([[0, 1], [1, 0]]), (2, 8)),
    [[1, -0.2, 0.6], [3, 0, 3]],
    title="8 bits for one channel, 2 for the other",
    atol=0.01,
)
check.close(
    "4",
    lambda: mixture(two, np.array([[0.5, 0.5], [0.25, 0.75]]), (0, 2)),
    [[0.5, 0, 0.5], [2.25, 0, 2.25]],
    title="half and a quarter pruned",
)

# %% cell="ex4-check" role="check" exercise="4" points=2 rtol=1e-6
rng = np.random.default_rng(64)
belief = rng.dirichlet([1, 1, 1, 1], size=4)
check.value(mixture(rng.normal(size=(4, 6)), belief, (0, 2, 4, 8)))

# %% cell="ex4-check-square" role="check" exercise="4" points=1 rtol=1e-6
belief = rng.dirichlet([2, 1, 3], size=3)
check.value(mixture(rng.normal(size=(3, 3)), belief, (2, 3, 0)))


# %% cell="ex4-wrong-layer" role="wrong" exercise="4"
# why: one p for the whole layer
def mixture(w, p, bits):
    p = np.asarray(p).mean(axis=0)
    return sum(p[column] * quantized(w, b) for column, b in enumerate(bits))


# %% cell="ex4-wrong-zero" role="wrong" exercise="4"
# why: 0 bits add the float weights, as if not quantized
def mixture(w, p, bits):
    p, w = np.asarray(p), np.asarray(w, dtype=float)
    versions = [quantized(w, b) if b else w for b in bits]
    return sum(p[:, [column]] * version for column, version in enumerate(versions))


# %% cell="ex4-wrong-order" role="wrong" exercise="4"
# why: mixes the widths first and rounds once, to a width that is none
def mixture(w, p, bits):
    mean = np.round(np.asarray(p) @ np.asarray(bits)).astype(int)
    return np.concatenate([quantized(w[[c]], max(b, 2)) for c, b in enumerate(mean)])


# %% [markdown] cell="search-text"
# ## A search, live
# `MixedPrecision` is your two functions in PyTorch: *wrap* the network, *add* the price to the loss, *export*. The price is
# relative, 1 for 8 bits everywhere, so a strength of 2 says: all the weights at 8 bits are as bad as 2 units of cross-entropy.
# Five epochs, then two more for the network it found.

# %% cell="search"
torch.manual_seed(0)
search = MixedPrecision(model, learn_x[::5])
options = {"epochs": 5, "batch_size": 64, "learning_rate": 3e-3}
fit(search, (learn_x, learn_y), None, Recipe(**options), penalty=lambda: 2.0 * search.cost())
network = search.export()
fit(network, (learn_x, learn_y), None, Recipe(epochs=2, batch_size=64, learning_rate=1e-3))
for name, widths in search.assignment().items():
    print(f"{name:13}", ", ".join(f"{widths.count(b)} × {b} bits" for b in bits if b in widths))

# %% [markdown] cell="own-text"
# Is it really your price? Put the learned θ into your function. (labkit divides θ by a *temperature* first, which makes the choice
# sharper: the small steps of the optimizer then suffice to decide between widths.)

# %% cell="own"
with check.needs("3"):
    expected = 0
    for layer in layers:
        theta = search.mixtures()[layer.name].theta.detach().double().numpy() / TEMPERATURE
        expected += expected_bytes(theta, bits, layer.weights_per_channel)
    theirs = (search.cost() * search.prices[:, -1].sum()).item()
    print(f"expected by your function: {expected:,.1f} bytes, by labkit: {theirs:,.1f}")

# %% [markdown] cell="export-text"
# The exported network is an ordinary quantized one with a width for every channel. So it can be traced, priced on any device, and
# run in integers.

# %% cell="export"
found = labkit.trace(network, test_x[:1], name="found")
integers = IntegerNetwork.of(network, test_x[:1]).logits(test_x.numpy()).argmax(axis=1)
estimate = mpic.estimate(found)
print(f"accuracy {(predict(network, test_x) == test_y).float().mean():.1%}", end=", ")
print(f"in integers {np.mean(integers == strangers.y):.1%}", end=", ")
print(f"before (floats) {(predict(model, test_x) == test_y).float().mean():.1%}")
print(f"{found.weight_bytes:,} bytes of weights; at 8 bits {workload.weight_bytes:,}")
print(f"energy on MPIC {estimate.energy_uj} µJ; at 8 bits {at_8} µJ")

# %% [markdown] cell="rebuild-text"
# And that is not all: the weights with which the next layer reads a pruned channel are still counted. Built anew without them (what
# is left of a pruned channel is a constant, which goes into the next bias), the network is smaller again.

# %% cell="rebuild"
stored = 0
for layer in found.layers:
    if layer.weights_per_channel:
        read = layer.weights_per_channel * layer.live_inputs / layer.in_channels
        stored += (read * layer.channel_bits / 8 + 4 * (layer.channel_bits > 0)).sum()
print(
    f"built without what reads pruned channels: {stored:,.0f} bytes instead of {found.weight_bytes:,}"
)

# %% [markdown] cell="pareto-text"
# ## Exercise 5 · Which networks are worth keeping?
# Every strength gives another network: a point of cost and accuracy. One point *beats* another when it is at least as cheap and
# at least as accurate, and better in one of the two. What nobody beats is the *Pareto front*. By hand: (1 kB, 70 %), (2 kB, 90
# %), (3 kB, 80 %): the second beats the third.


# %% cell="ex5-answer" role="answer" exercise="5" hides="explorers.bits.pareto"
def pareto(costs, accuracies):
    """Which points no other point beats: array of True and False, (n,).

    costs, accuracies : arrays (n,); low costs and high accuracies are good

    Examples: pareto([1, 2, 3], [0.7, 0.9, 0.8]) is [True, True, False]. Two equal points do not beat each other, but
    pareto([1, 1, 2], [0.5, 0.6, 0.6]) is [False, True, False].
    """
    # BEGIN SOLUTION
    points = list(zip(costs, accuracies))
    return np.array(
        [
            not any(c <= cost and a >= acc and (c, a) != (cost, acc) for c, a in points)
            for cost, acc in points
        ]
    )
    # END SOLUTION


# %% cell="ex5-test" role="test" exercise="5"
few_points = {
    "three points": ([1, 2, 3], [0.7, 0.9, 0.8], [1, 1, 0]),
    "ties": ([1, 1, 2], [0.5, 0.6, 0.6], [0, 1, 0]),
    "two equal points": ([2, 2, 1], [0.9, 0.9, 0.1], [1, 1, 1]),
}
for name, (costs, scores, kept) in few_points.items():
    check.close(
        "5", lambda c=costs, s=scores: pareto(np.array(c), np.array(s)), kept, title=name
    )

# %% cell="ex5-check" role="check" exercise="5" points=2
rng = np.random.default_rng(65)
clouds = [rng.integers(0, 9, size=(2, 14)) for _ in range(5)]
check.value([[int(kept) for kept in pareto(*cloud)] for cloud in clouds])


# %% cell="ex5-wrong-equal" role="wrong" exercise="5"
# why: equal points beat each other, and a tie in one of the two saves a point
def pareto(costs, accuracies):
    points = list(zip(costs, accuracies))
    return np.array([not any(c < cost and a > acc for c, a in points) for cost, acc in points])


# %% cell="ex5-wrong-direction" role="wrong" exercise="5"
# why: takes high costs for good
def pareto(costs, accuracies):
    points = list(zip(costs, accuracies))
    return np.array(
        [
            not any(c >= cost and a >= acc and (c, a) != (cost, acc) for c, a in points)
            for cost, acc in points
        ]
    )


# %% cell="ex5-wrong-best" role="wrong" exercise="5"
# why: only the cheapest and the most accurate
def pareto(costs, accuracies):
    costs, accuracies = np.asarray(costs), np.asarray(accuracies)
    return (costs == costs.min()) | (accuracies == accuracies.max())


# %% [markdown] cell="explorer-text"
# ## Paint with bits
# All searches of `labkit train mixed-table`, run beforehand; your `pareto` draws the fronts. (a) Drag the strength up: which
# layers lose bits first, and which keep them? (b) Let layers choose: what changes? (c) Halve the memory; by how much does the
# energy fall?

# %% cell="explorer"
explorers.BitExplorer(pareto)

# %% [markdown] cell="paper-text"
# ## The paper says, measured here
# Risso et al. (arXiv:2206.08852) report, for the networks of MLPerf Tiny on MPIC and at the same accuracy, up to 63 % less memory
# and up to 27 % less energy when channels choose instead of layers. Ours: the same question at our scale. For each layer-wise
# point we take the cheapest channel-wise one at most half a point less accurate; means of three seeds. Below zero the layers
# were cheaper.

# %% cell="paper-table"
print("channels instead of layers, at equal accuracy:   memory saved    energy saved")
print("the paper, MLPerf Tiny, whole data sets          up to 63 %      up to 27 %")
for task in ("keywords", "activities"):
    rows = [row for row in searches.measured() if row["task"] == task]
    if rows:
        memory, energy = searches.savings(rows)
        print(f"here, {task:10} ({len(rows)} searches)            {memory:15} {energy}")

# %% [markdown] cell="floor-text"
# Why less? A saving needs something to be saved. Compare with the floor: the smallest network that *layers* may choose has 2 bits
# everywhere. Below it only channels can go, by pruning.

# %% cell="floor"
for task in sorted({row["task"] for row in searches.measured()}):
    rows = [row for row in searches.measured() if row["task"] == task]
    layers_of = len(rows[0]["bits"])
    at_floor = searches.at_widths(task, [2] * layers_of)
    floor, floor_uj = at_floor.weight_bytes, mpic.estimate(at_floor).energy_uj.mid
    print(f"{task}: 2 bits everywhere are {floor:,} bytes and {floor_uj:.3g} µJ")
    for share in ("layer", "channel"):
        least = min((row for row in rows if row["share"] == share), key=lambda r: r["weight_bytes"])
        about = f"{least['weight_bytes']:,} bytes, {least['energy_uj']:.3g} µJ"
        print(f"  smallest found, a width for each {share}: {about}, {least['accuracy']:.1%}")

# %% [markdown] cell="paper-observe"
# Activities survive 2 bits everywhere: layers reach their floor, and below it only pruned channels go. Keywords do not survive
# them, and there channels save a fifth against the best layer-wise network. Read it as a scientist: three seeds spread as far as
# the methods differ, and with 8-bit activations narrow weights save MPIC 16 % at most.

# %% [markdown] cell="reflect-text"
# ## Reflect
# Your product has 3 KiB left for the weights. Which network of this lab would you ship, and would you trust its accuracy on a
# fourth stranger? Which of the two tables, damage or price, was harder to get right? Change the choice to yours; later labs can
# read it.

# %% cell="reflect"
choice = {"share": "channel", "strength": 2.0}
ledger.record(
    "06",
    **choice,
    weight_bytes=found.weight_bytes,
    energy_uj=estimate.energy_uj.mid,
    accuracy=round((predict(network, test_x) == test_y).float().mean().item(), 3),
)
ledger.read("06")
