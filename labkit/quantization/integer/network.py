"""`IntegerNetwork`: a whole quantized network in integers. Once built it needs numpy and nothing else.

network = IntegerNetwork.of(prepared, example)    # prepared and calibrated, see labkit.quantization.prepare
network.run(x)                                    # codes in, codes out: what a microcontroller computes
network.logits(x)                                 # the same as real numbers
network.run(x, face="float")                      # the other face: fake quantization, layer by layer
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.naming import did_you_mean
from labkit.quantization.integer.operations import ARITHMETIC, Operation, Weighted
from labkit.quantization.integer.requantize import Grid, check_rounding
from labkit.workload import INPUT, Workload

FACES = ("integer", "float")


@dataclass(frozen=True)
class IntegerNetwork:
    """Operations in the order they run. `input` is the grid on which the input is quantized, `shape` its shape behind the batch.

    `workload` is what `labkit.trace` says of the same network: feed it to any device.
    """

    input: Grid
    shape: tuple[int, ...]
    operations: tuple[Operation, ...]
    workload: Workload

    @classmethod
    def of(cls, prepared, example) -> IntegerNetwork:
        """Reads a network that `prepare` and `calibrate` made; `example` is an input with the batch first.

        Raises ValueError, in one sentence, for a network that is not calibrated, that has a layer or a grid which integers cannot
        do, or NaN among its weights.

        >>> import torch
        >>> from labkit.quantization.prepare import Scheme, calibrate, prepare
        >>> model = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> x = torch.linspace(-1, 1, 32).reshape(8, 1, 4)
        >>> prepared = prepare(model, Scheme())
        >>> calibrate(prepared, x)
        >>> network = IntegerNetwork.of(prepared, x)
        >>> [type(operation).__name__ for operation in network.operations]
        ['Conv', 'Reshape', 'Linear']
        >>> bool(np.abs(network.logits(x) - prepared(x).detach().numpy()).max() <= network.output.scale * 1.01)
        True
        """
        from labkit.quantization.integer.reading import read  # PyTorch is needed to read a network, not to run it

        return cls(*read(prepared, example))

    @property
    def output(self) -> Grid:
        """The grid of the logits."""
        return self.operations[-1].out

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid of every tensor, by the name of the operation that writes it; the input is called ``"input"``."""
        return {INPUT: self.input} | {operation.name: operation.out for operation in self.operations}

    def run(
        self, x, *, face: str = "integer", rounding: str = "tflite", arithmetic: str = "multiply", batch: int = 64
    ) -> np.ndarray:
        """Codes of the last layer, int64, for `x` ``(batch, *shape)``: real numbers, which are quantized first, or integer codes.

        `face`: "integer", or "float" for fake quantization in float64 (then there is no `rounding` to choose). `rounding` is one of
        `labkit.quantization.integer.requantize.ROUNDINGS`. ``arithmetic="shift"`` makes the sums of shifts and additions. `batch`
        inputs are computed at a time. Real numbers and codes beyond the grid saturate.
        """
        chunks = [self._last(part, face, rounding, arithmetic) for part in self._chunks(x, batch)]
        return np.concatenate(chunks)

    def logits(self, x, **options) -> np.ndarray:
        """What `run` returns, as real numbers, float32."""
        return self.output.dequantize(self.run(x, **options))

    def tensors(self, x, *, face: str = "integer", rounding: str = "tflite", arithmetic: str = "multiply") -> dict[str, np.ndarray]:
        """The codes of every tensor of the network, by name, the input first."""
        _check_name(face, FACES, "face")
        _check_name(arithmetic, ARITHMETIC, "arithmetic")
        check_rounding(rounding)
        codes, grids = {INPUT: self.quantize(x)}, self.grids
        for operation in self.operations:
            read = [codes[name] for name in operation.inputs], [grids[name] for name in operation.inputs]
            if face == "integer":
                codes[operation.name] = operation.integer(*read, rounding, arithmetic)
            else:
                codes[operation.name] = operation.floating(*read)
        return codes

    def quantize(self, x) -> np.ndarray:
        """Codes of an input, int64. Raises ValueError for an input of another shape, or with NaN."""
        x = np.asarray(x)
        if x.shape[1:] != self.shape:
            raise ValueError(f"this network reads inputs of shape (batch, {', '.join(map(str, self.shape))}), not {x.shape}")
        return self.input.saturate(x.astype(np.int64)) if np.issubdtype(x.dtype, np.integer) else self.input.quantize(x)

    def __str__(self) -> str:
        lines = [f"{'layer':24s} {'operation':10s} {'codes':>14s} {'accumulator':>12s}"]
        for operation in self.operations:
            bits = f"{operation.accumulator_bits(self.grids[operation.inputs[0]])} bits" if isinstance(operation, Weighted) else ""
            codes = f"{operation.out.low}…{operation.out.high}"
            lines.append(f"{operation.name:24s} {type(operation).__name__.lower():10s} {codes:>14s} {bits:>12s}")
        return "\n".join(lines)

    def _chunks(self, x, batch: int):
        x = np.asarray(x)
        return [x[start : start + batch] for start in range(0, len(x), batch)] or [x]

    def _last(self, x, face, rounding, arithmetic) -> np.ndarray:
        return self.tensors(x, face=face, rounding=rounding, arithmetic=arithmetic)[self.operations[-1].name]


def _check_name(name: str, known, kind: str) -> None:
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; {did_you_mean(name, known)}")
