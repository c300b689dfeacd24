"""Integer-only inference: what a microcontroller computes, in numpy, code for code.

`requantize` scales accumulators back to codes, `kernels` makes the sums, `shifts` makes them without a multiplication, `network`
runs a whole quantized model, `onnx` writes it to a file that ONNX Runtime reads.
"""
