"""Assignments under a budget: the integer programme against trying everything, and greedy against the integer programme."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.mixed.assignment import exact, greedy, total


@st.composite
def instances(draw, most=4):
    """Random tables with one choice for each layer, and a budget that something fits. Integers make ties and exact hits."""
    layers, widths = draw(st.integers(1, most)), draw(st.integers(1, 4))
    cells = layers * widths
    numbers = draw(st.sampled_from([st.integers(0, 9), st.floats(0, 1e4, allow_subnormal=False)]))
    damage = np.array(draw(st.lists(numbers, min_size=cells, max_size=cells)), dtype=float).reshape(layers, widths)
    price = np.array(draw(st.lists(numbers, min_size=cells, max_size=cells)), dtype=float).reshape(layers, widths)
    if draw(st.booleans()):  # as a network has them: more bits, less damage
        damage, price = -np.sort(-damage, axis=1), np.sort(price, axis=1)
    choice = np.array([draw(st.integers(0, widths - 1)) for _ in range(layers)])
    return damage, price, total(price, choice) + draw(st.sampled_from([0, 1, 1e-3, 1e3]))


def brute_force(damage, price, budget) -> float:
    """The least damage of all assignments that fit."""
    choices = (np.array(c) for c in itertools.product(range(price.shape[1]), repeat=len(price)))
    return min(total(damage, choice) for choice in choices if total(price, choice) <= budget)


@given(instances())
@settings(max_examples=150, deadline=None)
def test_exact_is_what_trying_everything_finds(instance):
    damage, price, budget = instance
    choice = exact(damage, price, budget)
    assert total(price, choice) <= budget
    assert total(damage, choice) == pytest.approx(brute_force(damage, price, budget), abs=1e-6 * max(1, damage.max()))


@given(instances(most=8))
@settings(max_examples=100, deadline=None)
def test_greedy_fits_and_is_never_better_than_exact(instance):
    damage, price, budget = instance
    choice = greedy(damage, price, budget)
    assert choice.shape == (len(price),) and total(price, choice) <= budget
    assert total(damage, exact(damage, price, budget)) <= total(damage, choice) + 1e-6 * max(1, damage.max())


def test_greedy_can_lose():
    damage, price = np.array([[3.0, 0.0], [2.2, 0.0], [2.4, 0.0]]), np.array([[0, 3], [0, 2], [0, 2]])
    assert total(damage, exact(damage, price, 5)) == 2.2 < total(damage, greedy(damage, price, 5)) == 3.0


@pytest.mark.parametrize("solve", [greedy, exact])
def test_a_generous_budget_buys_the_least_damage_and_a_tight_one_the_least_price(solve):
    rng = np.random.default_rng(0)
    damage, price = -np.sort(-rng.random((12, 4)), axis=1), np.sort(rng.random((12, 4)), axis=1)
    assert solve(damage, price, 1e9).tolist() == [3] * 12
    assert solve(damage, price, total(price, np.zeros(12, dtype=int))).tolist() == [0] * 12


@pytest.mark.parametrize("solve", [greedy, exact])
def test_negative_damages_are_taken(solve):
    """Rounding can help by chance: then the narrow width is chosen although the wide one would fit."""
    assert solve(np.array([[-0.1, 0.0]]), np.array([[1, 2]]), 5).tolist() == [0]


def test_a_budget_is_not_missed_by_the_solvers_tolerance():
    """Two widths whose prices differ by less than the millionth that the solver overlooks."""
    damage, price = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0 + 1e-9]])
    assert exact(damage, price, 1.0).tolist() == [0]
    assert exact(damage, price, 1.0 + 1e-9).tolist() == [1]


def test_damages_far_below_one_are_told_apart():
    damage = 1e-8 * np.array([[3.0, 0.0], [2.0, 0.0]])
    assert exact(damage, np.array([[1, 2], [1, 2]]), 3).tolist() == [1, 0]


@pytest.mark.parametrize("solve", [greedy, exact])
def test_bad_input(solve):
    with pytest.raises(ValueError, match="smallest possible price is 3, so raise it"):
        solve(np.zeros((2, 2)), np.array([[1, 5], [2, 5]]), 2.5)
    with pytest.raises(ValueError, match="nothing fits a budget of nan"):
        solve(np.zeros((1, 2)), np.ones((1, 2)), np.nan)
    with pytest.raises(ValueError, match="finite"):
        solve(np.array([[np.nan, 1]]), np.ones((1, 2)), 5)
    with pytest.raises(ValueError, match="both as"):
        solve(np.zeros((2, 3)), np.zeros((3, 2)), 5)
