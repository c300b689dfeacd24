"""Where the energy of a listening device goes, and what a cheaper front end can change about it.

    energy after / energy before = s / f + (1 - s) / n

with s the share of the front end (acquisition and preprocessing) before, f the factor by which it gets cheaper, n that of the
network. This is Amdahl's law. Cerutti et al. (arXiv:2201.03386, known to us by its abstract) print s = 85 %, f = 29 and a share
of 16 % afterwards, which the algebra confirms: 0.85/29 = 0.0293 beside 0.15 is 16.3 %, if the network stays as it was (n = 1).

**What 71x can and cannot be.** The abstract also offers a 71-fold energy reduction for 2 points of accuracy. With n = 1 no front
end gives more than 1/0.15 = 6.7x; with f = 29 no network gives more than 29/0.85 = 34x. So it cannot be the energy of that whole
reference application behind that front end. It may be the network's energy alone (then the whole gains 31.8x), or a comparison
with somebody else's system, as the 4.3x beside it is. The abstract does not say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.hardware import battery, popcount
from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import CortexM
from labkit.hardware.estimate import Interval
from labkit.workload import Workload


@dataclass(frozen=True)
class Shares:
    """The three sliders: the front end's share of the energy before, and the factors by which front end and network get cheaper.

    >>> published = Shares(0.85, front_end_gain=29)
    >>> round(published.share_after, 3), round(published.system_gain, 1)
    (0.163, 5.6)
    """

    share_before: float = 0.85
    front_end_gain: float = 29.0
    network_gain: float = 1.0

    def __post_init__(self):
        if not 0 <= self.share_before <= 1:
            raise ValueError(f"the front end's share is {self.share_before}; give a number from 0 to 1")
        for name in ("front_end_gain", "network_gain"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; give a factor above 0 (1 changes nothing, math.inf costs nothing)"
                )

    @property
    def front_end_after(self) -> float:
        """Energy of the front end, as a share of the whole energy before."""
        return self.share_before / self.front_end_gain

    @property
    def network_after(self) -> float:
        """Energy of the network, as a share of the whole energy before."""
        return (1 - self.share_before) / self.network_gain

    @property
    def system_gain(self) -> float:
        """The factor by which the whole gets cheaper."""
        total = self.front_end_after + self.network_after
        return 1 / total if total else math.inf

    @property
    def share_after(self) -> float:
        """The front end's share of the energy that is left; NaN when none is."""
        total = self.front_end_after + self.network_after
        return self.front_end_after / total if total else math.nan

    @property
    def ceiling(self) -> float:
        """The gain if the front end cost nothing at all: what no circuit can beat.

        >>> round(Shares(0.85).ceiling, 2)
        6.67
        """
        return 1 / self.network_after if self.network_after else math.inf


def published() -> Shares:
    """The setting that the abstract describes."""
    numbers = load("analog_front_end")["published"]
    return Shares(numbers["share_before"].value, numbers["front_end_gain"].value)


def front_end_gain_for(system_gain: float, share_before: float = 0.85, network_gain: float = 1.0) -> float:
    """How much cheaper the front end must get for the whole to gain `system_gain`. Raises ValueError where no front end can.

    >>> round(front_end_gain_for(5.6), 1)
    29.8
    >>> round(front_end_gain_for(71, network_gain=math.inf), 2)       # with a network that costs nothing
    60.35
    """
    left = 1 / system_gain - Shares(share_before, network_gain=network_gain).network_after
    if left <= 0:
        ceiling = Shares(share_before, network_gain=network_gain).ceiling
        raise ValueError(
            f"with the network {network_gain:g} times cheaper no front end gives {system_gain:g}x: "
            f"the ceiling is {ceiling:.3g}x; make the network cheaper"
        )
    return share_before / left


def network_gain_between(share_before: float, share_after: float, front_end_gain: float) -> float:
    """The network's factor that two shares and the front end's factor imply: the algebra read backwards.

    >>> round(network_gain_between(0.85, 0.16, 29), 2)       # about 1: the network of the two figures is the same
    0.97
    """
    network_after = share_before / front_end_gain * (1 - share_after) / share_after
    return (1 - share_before) / network_after


@dataclass(frozen=True)
class Budget:
    """Energy of one decision by our own device models, microjoules as 80 % intervals."""

    acquisition_uj: Interval
    preprocessing_uj: Interval
    network_uj: Interval
    provenance: tuple[str, ...] = ()

    @property
    def total_uj(self) -> Interval:
        return self.acquisition_uj + self.preprocessing_uj + self.network_uj

    @property
    def front_end_share(self) -> Interval:
        """Share of acquisition and preprocessing; lowest where they are cheap and the network is dear, highest the other way."""
        front, network = self.acquisition_uj + self.preprocessing_uj, self.network_uj
        ends = ((front.low, network.high), (front.mid, network.mid), (front.high, network.low))
        return Interval(*(f / (f + n) for f, n in ends))


def budget(
    board: CortexM, front_end: Workload, network: Workload, *, microphone: str = "microphone", seconds: float = 1.0
) -> Budget:
    """Energy of listening for `seconds` and deciding once: microphone, front end, network.

    A network with binary layers is priced as popcounts (`labkit.hardware.popcount`), any other by the board itself.

    >>> from labkit.data import features
    >>> from labkit.hardware.reference import reference
    >>> ours = budget(CortexM("nucleo-l4r5zi"), features.workload(), reference("kws"))
    >>> round(ours.front_end_share.mid, 2)
    0.47
    """
    power = battery.sensor(microphone)
    factor = load("battery")["system"]["uncertainty_factor"].value
    preprocessing = board.estimate(front_end)
    decision = popcount.estimate(board, network) if popcount.binary_layers(network) else board.estimate(network)
    return Budget(
        Interval.within(power.value * seconds, factor),
        preprocessing.energy_uj,
        decision.energy_uj,
        (f"Acquisition: {microphone}, {power}, for {seconds:g} s.", *preprocessing.provenance, *decision.provenance),
    )
