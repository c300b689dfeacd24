"""Networks of few bits: number formats, quantizers, training, mixed widths, and inference in integers.

    prepared = prepare(model, Scheme(weights=Int(4)))           # what an integer network would compute, in floats
    calibrate(prepared, batches)                                # ranges of the activations
    network = IntegerNetwork.of(prepared, example)              # integers only
"""

from labkit.quantization.formats import AdditivePowerOfTwo, Binary, Format, Int, PowerOfTwo, Ternary, TwoStep
from labkit.quantization.granularity import PerChannel, PerGroup, PerTensor
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, bake, calibrate, prepare

__all__ = [
    "AdditivePowerOfTwo",
    "Binary",
    "Format",
    "Int",
    "IntegerNetwork",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "PowerOfTwo",
    "Scheme",
    "Ternary",
    "TwoStep",
    "bake",
    "calibrate",
    "prepare",
]
