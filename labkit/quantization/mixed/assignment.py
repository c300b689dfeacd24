"""Which layer gets how many bits, under a budget: a knapsack with one choice for each layer.

    minimise Σ_l damage[l, b_l]   subject to   Σ_l price[l, b_l] ≤ budget

`greedy` starts with the least damage and walks down; `exact` solves the integer programme (HAWQ-V3, Yao et al., arXiv:2011.10680).
Both take two tables ``(layers, widths)``: damage from `labkit.quantization.mixed.sensitivity`, price from
`labkit.quantization.mixed.price`. Damages are assumed to add up, which is what makes the problem small.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


def greedy(damage: np.ndarray, price: np.ndarray, budget: float) -> np.ndarray:
    """The column chosen for each layer, ``(layers,)``: step by step, always the one that hurts least for what it saves.

    Raises ValueError, naming the smallest possible price, when nothing fits the budget.

    >>> greedy(np.array([[5.0, 0.0], [1.0, 0.0]]), np.array([[1, 2], [1, 2]]), budget=3)
    array([1, 0])
    """
    damage, price = _checked(damage, price, budget)
    layers = np.arange(len(price))
    choice = np.lexsort((price, damage), axis=1)[:, 0]  # least damage; of equal ones the cheapest
    while total(price, choice) > budget:
        saved = price[layers, choice][:, None] - price
        hurt = damage - damage[layers, choice][:, None]
        rate = np.where(saved > 0, hurt / np.where(saved > 0, saved, 1), np.inf)
        layer, column = np.unravel_index(np.argmin(rate), rate.shape)
        choice[layer] = column
    return choice


def exact(damage: np.ndarray, price: np.ndarray, budget: float) -> np.ndarray:
    """The column chosen for each layer, ``(layers,)``, with the least total damage of all that fit: an integer programme (HiGHS).

    One variable x[l, b] ∈ {0, 1} says whether layer l has width b. Raises ValueError as `greedy` does.

    >>> damage, price = np.array([[3.0, 0.0], [2.2, 0.0], [2.4, 0.0]]), np.array([[0, 3], [0, 2], [0, 2]])
    >>> exact(damage, price, budget=5), greedy(damage, price, budget=5)        # greedy saves 3 where 2 were enough
    (array([1, 0, 1]), array([0, 1, 1]))
    """
    damage, price = _checked(damage, price, budget)
    layers, widths = price.shape
    one_each = LinearConstraint(np.kron(np.eye(layers), np.ones(widths)), 1, 1)
    constraints = [one_each, LinearConstraint(_scaled(price).reshape(1, -1), -np.inf, budget / _scale(price))]
    while True:
        solved = milp(
            _scaled(damage).ravel() * 1e3,  # the solver takes objectives within 1e-6 of each other for equal
            integrality=np.ones(layers * widths),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0},
        )
        choice = solved.x.reshape(layers, widths).argmax(axis=1)
        if total(price, choice) <= budget:
            return choice
        # the solver lets a budget be missed by a millionth; we do not: forbid this assignment and ask again
        chosen = np.zeros((layers, widths))
        chosen[np.arange(layers), choice] = 1
        constraints.append(LinearConstraint(chosen.reshape(1, -1), -np.inf, layers - 1))


def total(table: np.ndarray, choice: np.ndarray) -> float:
    """Damage or price of an assignment.

    >>> total(np.array([[1, 2], [3, 4]]), np.array([1, 0]))
    5.0
    """
    return float(np.take_along_axis(np.asarray(table), np.asarray(choice)[:, None], axis=1).sum())


def _checked(damage: np.ndarray, price: np.ndarray, budget: float) -> tuple[np.ndarray, np.ndarray]:
    damage, price = np.asarray(damage, dtype=float), np.asarray(price, dtype=float)
    if damage.ndim != 2 or damage.shape != price.shape or not damage.size:
        raise ValueError(f"damage has shape {damage.shape} and price {price.shape}; give both as (layers, widths)")
    if not (np.isfinite(damage).all() and np.isfinite(price).all()):
        raise ValueError("damage and price must be finite numbers; a NaN loss means that the network had no valid input")
    smallest = total(price, price.argmin(axis=1))
    if not smallest <= budget:
        raise ValueError(f"nothing fits a budget of {budget:g}; the smallest possible price is {smallest:g}, so raise it to that")
    return damage, price


def _scale(values: np.ndarray) -> float:
    return float(np.abs(values).max()) or 1.0


def _scaled(values: np.ndarray) -> np.ndarray:
    return values / _scale(values)
