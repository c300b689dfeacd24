"""Fits UltraTrail's area and power to the figures of HANNAH's networks, and holds networks out to see how far off that is.

``python -m labkit.hardware.ultratrail_fit`` rewrites `catalog/ultratrail_fitted.toml`; with ``--print`` it only shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.hardware.catalog import line, rewrite
from labkit.hardware.fitting import relative_nnls
from labkit.hardware.intervals import conformal_factor
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.ultratrail_area import AREA, POWER, area_terms, memory_depth, power_terms
from labkit.hardware.ultratrail_cycles import cycles_and_words
from labkit.hardware.ultratrail_networks import Network, networks

PERIOD_S = 0.1  # over which the published powers are means
UNITS = ("um2/bit", "um2/bit", "um2", "uW/bit", "uW/bit", "fJ/(cycle um2)")
SOURCE = "22 networks of ekut-es/hannah@af3320e (ultratrail_networks.csv)"


def totals(network: Network) -> tuple[int, int]:
    """Cycles and weight words of a whole network on the array that was made for it."""
    cycles, words = cycles_and_words(LayerTable.of([network.workload]), network.array)
    return int(cycles.sum()), int(words.sum())


def area_features(network: Network) -> np.ndarray:
    _, words = totals(network)
    return area_terms(network.array, network.weight_bits, network.activation_bits, memory_depth(words))


def power_features(network: Network, area_um2: float) -> np.ndarray:
    cycles, _ = totals(network)
    return power_terms(network.array, network.weight_bits, network.activation_bits, cycles / PERIOD_S, area_um2)


def fit(group: Sequence[Network]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of area and power, ``(3,)`` each. Power sees the predicted area, as it will when a network is new."""
    terms = np.array([area_features(network) for network in group])
    area = relative_nnls(terms, np.array([network.area_um2 for network in group]))
    terms = np.array([power_features(network, um2) for network, um2 in zip(group, terms @ area, strict=True)])
    return area, relative_nnls(terms, np.array([network.power_uw for network in group]))


def predict(network: Network, others: Sequence[Network]) -> tuple[float, float]:
    """Area in µm² and power in µW of a network, from the others alone."""
    area, power = fit(others)
    um2 = float(area_features(network) @ area)
    return um2, float(power_features(network, um2) @ power)


def held_out(key=lambda network: network.workload.name) -> np.ndarray:
    """Area and power of each network, predicted without all that share its `key`: ``(networks, 2)``."""
    everything = networks()
    return np.array([predict(one, [other for other in everything if key(other) != key(one)]) for one in everything])


def published() -> np.ndarray:
    """Area and power that the authors give, ``(networks, 2)``."""
    return np.array([(network.area_um2, network.power_uw) for network in networks()])


def log_errors(predicted: np.ndarray) -> np.ndarray:
    """log(published / predicted): what an interval around the prediction has to cover."""
    return np.log(published() / predicted)


def array_size(network: Network) -> int:
    return network.array


def fitted_toml() -> str:
    """The text of `catalog/ultratrail_fitted.toml`: coefficients, and the spread of held-out errors."""
    lines = ["# Written by `python -m labkit.hardware.ultratrail_fit` from ultratrail_networks.csv. Do not edit."]
    values = np.concatenate(fit(networks()))
    near, far = log_errors(held_out()), log_errors(held_out(array_size))
    for column, quantity in enumerate(("area", "power")):
        lines += ["", f"[{quantity}]"]
        names = (AREA, POWER)[column]
        for name, value, unit in zip(names, values[3 * column :], UNITS[3 * column :], strict=False):
            lines.append(line(name, value, unit, SOURCE))
        lines.append(line("factor", conformal_factor(near[:, column]), "x", "held-out network"))
        lines.append(line("far_factor", np.exp(np.abs(far[:, column]).max()), "x", "held-out array size, the largest of four"))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    rewrite("ultratrail_fitted", fitted_toml())
