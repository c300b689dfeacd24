"""A trained network on analog memory: its weights become pairs of conductances, which miss, drift and are noisy.

    from labkit import analog
    network = analog.program(model, calibration_inputs, analog.Crossbar(adc_bits=8), seed=0)
    network.at(86400)(x)                                   # logits a day after programming, drift compensated
    network.at(86400, compensation=None)(x)                # and if nobody compensates

The devices are those of `labkit.hardware.pcm`. What a crossbar does not do (bias, batch norm, ReLU, pooling) stays digital.
"""

from labkit.analog.crossbar import Crossbar, from_pairs, global_drift_compensation, to_pairs
from labkit.analog.network import AnalogNetwork, program
from labkit.analog.training import inject_noise, keep_weights

__all__ = [
    "AnalogNetwork",
    "Crossbar",
    "from_pairs",
    "global_drift_compensation",
    "inject_noise",
    "keep_weights",
    "program",
    "to_pairs",
]
