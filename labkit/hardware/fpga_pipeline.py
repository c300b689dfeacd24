"""When each stage of a dataflow pipeline starts and ends.

A stage takes its cycles for one position, and starts a position when the one before is done and its last input has arrived:

    done(p) = max(done(p - 1), arrived(last input of p)) + cycles

All stages overlap, so the latency of one inference lies between the slowest stage and the sum of all stages: it is the slowest
stage, plus what the stages before it need until its first window is full, plus what those behind it still have to do at the end.
The next inference may follow after the slowest stage alone: the initiation interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.hardware.fpga_resources import Flow
from labkit.hardware.fpga_stage import Stage, last_needed
from labkit.workload import INPUT, Layer, Workload


@dataclass(frozen=True)
class Timing:
    """Cycles of each layer, in the network's order: busy in all, start of the first position, first output, end."""

    busy: np.ndarray  # (layers,)
    start: np.ndarray
    first: np.ndarray
    end: np.ndarray
    reading: float  # of the whole input

    @property
    def interval(self) -> float:
        """Cycles from one inference to the next: the slowest stage, or the input."""
        return max(float(self.busy.max()), self.reading)

    @property
    def latency(self) -> float:
        """Cycles from the first input to the last output."""
        return float(self.end.max())


def timing(workload: Workload, stages: Sequence[Stage], per_position: np.ndarray, tool: Flow) -> Timing:
    """`per_position` is the time of one position of each stage in cycles, ``(layers,)``.

    Two layers of 4 positions that take 10 and 1 cycles overlap: 41 cycles and one for the first input, not 44.

    >>> from labkit.hardware.fpga_resources import flow
    >>> from labkit.hardware.fpga_stage import stages
    >>> from labkit.workload import Layer
    >>> one, two = (Layer(n, "conv", (s,), (1, 4), (1, 4), (1,), (1,)) for n, s in (("one", "input"), ("two", "one")))
    >>> net = Workload("net", (1, 4), (one, two))
    >>> timing(net, stages(net), np.array([10.0, 1.0]), flow("hls4ml")).latency
    42.0
    """
    places = math.prod(workload.input_shape[1:])
    done = {INPUT: (np.arange(places) + 1) * workload.input_shape[0] / tool.elements_per_cycle}
    moments = []
    for layer, one, cycles in zip(workload.layers, stages, per_position, strict=True):
        arrived = np.max([_arrived(done[source], layer, bool(tool.whole_rows)) for source in layer.inputs], axis=0)
        steps = np.arange(one.positions) * cycles
        finished = np.maximum.accumulate(arrived - steps) + steps + cycles  # done(p), with the recursion unrolled
        done[layer.name] = finished
        moments.append((one.positions * cycles, arrived[0], finished[0], finished[-1]))
    return Timing(*np.array(moments).T, reading=float(done[INPUT][-1]))


def _arrived(done: np.ndarray, layer: Layer, whole_rows: bool) -> np.ndarray:
    needed = last_needed(layer, whole_rows)
    flattened = math.prod(layer.in_shape[1:]) != len(done)  # a picture that became a vector: wait for all of it
    return np.full(len(needed), done[-1]) if flattened else done[needed]
