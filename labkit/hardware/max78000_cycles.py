"""Cycles of one layer on the MAX78000's convolution engine, in closed form.

Re-derived from the vendor's tool (ai8x-synthesis, izer/latency.py) and exact on its register-level test vectors
(`catalog/max78000_cycle_vectors.csv`). All arguments may be numbers or numpy arrays of one shape.
"""

from __future__ import annotations

import numpy as np

PROCESSORS = 64  # channels read in one pass


def layer_cycles(
    *,
    input_chan,
    in_rows,
    in_cols,
    output_chan,
    k_rows=1,
    k_cols=1,
    pad_rows=0,
    pad_cols=0,
    pool_rows=1,
    pool_cols=1,
    pool_stride_rows=1,
    pool_stride_cols=1,
    multipass=None,
    operands=1,
    pool_first=1,
    passthrough=0,
    flatten=0,
    timeslots=1,
    transposed=0,
    streaming=0,
):
    """Cycles without the one that starts the network.

    The engine walks over the (pooled) image. Reading a position takes one cycle per pooled element and one to write it into the
    line buffer, for each pass over 64 channels and each operand. Once `k_rows - 1` rows are buffered, every row of outputs takes
    one more cycle per output channel and position: writing outputs is what most networks wait for. A passthrough layer only pools
    or adds; a streaming layer takes its input while it arrives, which the vendor's tool puts at half as long again.

    >>> int(layer_cycles(input_chan=3, in_rows=32, in_cols=32, output_chan=64, k_rows=3, k_cols=3, pad_rows=1, pad_cols=1))
    67980
    """
    passes = np.ceil(np.asarray(input_chan) / PROCESSORS).astype(np.int64) if multipass is None else multipass
    zeros = 1 + transposed  # a transposed convolution of stride 2 inserts a zero after each row and column
    rows = _pooled(in_rows * zeros, pool_rows, pool_stride_rows)
    cols = _pooled(in_cols * zeros, pool_cols, pool_stride_cols)
    window = pool_rows * pool_cols
    first = np.asarray(pool_first, dtype=bool)  # pool every operand, then combine; or combine, then pool
    pad = np.where(first, 2 * passes * operands, 2 * passes)
    data = np.where(first, passes * operands * (window + 1), passes * (operands * window + 1))
    again = np.where(first, 1, passes)

    # one row of the image: both margins, then its positions; +1 where the state machine also waits for a line-buffer write
    margins = 2 * pad_cols * (pad + 1)
    pad_row = margins + again * cols * (pad + 1)
    filling_row = margins + again * cols * (data + 1)

    out_cols = cols + 2 * pad_cols - k_cols + 1
    not_yet = again * (k_cols - 1 - pad_cols)  # positions before the kernel has all its columns
    computing = again * (out_cols - pad_cols)
    sides = pad_cols * (pad + 1) + pad_cols * pad
    data_row = sides + not_yet * (data + 1) + computing * data
    bottom_row = sides + not_yet * (pad + 1) + computing * pad

    output_chan = np.asarray(output_chan)
    write_row = passes * out_cols * output_chan + (output_chan == 1) * (np.asarray(passes) == 1)
    filling = k_rows - 1 - pad_rows
    frame = pad_rows * pad_row + filling * filling_row + (data_row + write_row) * (rows - filling)
    frame = flatten + frame + pad_rows * (bottom_row + write_row)
    cycles = np.where(np.asarray(passthrough, dtype=bool), rows * cols * (data + passes * timeslots), frame)
    return np.where(np.asarray(streaming, dtype=bool), (15 * cycles + 9) // 10, cycles)


def _pooled(size, window, stride):
    return (size - window) // stride + 1
