"""NE16: the convolution engine of GAP9. Cycles of one layer in closed form, from its block structure.

The engine makes blocks of 3x3 positions and 32 channels. For each block it goes through the input channels, 16 at a time: load
5x5 positions, multiply, then scale and store the block. Weights are multiplied bit by bit: fewer bits, fewer cycles. (In a 1x1
convolution the bits of a weight lie side by side instead, and their number does not matter.)

    block = ceil(C_in / 16) · (load + offset + multiply + 2) + scale + store

Constants and structure: PLiNIO (4f18525) plinio/cost/ne16_latency.py, after the accelerator's performance model by its authors.
A stride of 2 keeps 2x2 of the 3x3 positions, as in pulp-nnx (stride2x2). All arguments may be numbers or numpy arrays of one shape.
"""

from __future__ import annotations

import numpy as np

BLOCK = 3  # positions along a side
CHANNELS_OUT, CHANNELS_IN = 32, 16  # of a block; a depthwise block has 16
FIFO, BOOKKEEPING = 6, 2  # cycles
SCALE = 17  # cycles to start scaling and adding biases
PORT_BYTES = 32  # what the memory port carries in a cycle


def layer_cycles(*, in_channels, out_channels, rows, cols, stride=1, kernel=3, depthwise=False, weight_bits=8):
    """Cycles of a layer: `rows` x `cols` outputs, `kernel` 3 or 1, `weight_bits` 2 to 8. A linear layer is 1x1 with one output.

    >>> int(layer_cycles(in_channels=16, out_channels=32, rows=3, cols=3))  # one block of 41,472 MACs
    367
    """
    side = np.where(np.asarray(stride) > 1, BLOCK - 1, BLOCK)
    blocks = _ceil(rows, side) * _ceil(cols, side)
    pointwise = np.asarray(kernel) == 1
    width = np.where(depthwise, CHANNELS_IN, CHANNELS_OUT)
    whole, rest = np.divmod(np.asarray(out_channels), width)
    groups = np.where(depthwise, 1, _ceil(in_channels, CHANNELS_IN))

    def block(channels):
        load = np.where(pointwise, 10 + BLOCK**2, FIFO + (BLOCK + 2) ** 2)
        offset = FIFO + np.where(depthwise, channels, 0)
        multiply = FIFO + channels * np.where(pointwise, 1, weight_bits)
        scale = SCALE + channels + _ceil(channels, 8)
        store = 4 + BLOCK**2 * _ceil(CHANNELS_OUT, PORT_BYTES)
        return groups * (load + offset + multiply + BOOKKEEPING) + scale + store

    return blocks * (whole * block(width) + (rest > 0) * block(rest))


def _ceil(a, b):
    return -(-np.asarray(a) // b)
