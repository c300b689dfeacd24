"""Milliseconds an input takes in the integer engine, on one core: ``python -m`` this prints them for the networks of the zoo."""

import time

from threadpoolctl import threadpool_limits

from labkit.quantization.formats import PowerOfTwo
from labkit.quantization.prepare import Scheme
from tests.quantization.integer import zoo


def milliseconds(network, x, repeats: int = 3, **options) -> float:
    """Processor time for one input, the best of `repeats`: other work on the machine does not count."""
    network.run(x, **options)
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        network.run(x, **options)
        best = min(best, time.process_time() - start)
    return 1000 * best / len(x)


def main() -> None:
    with threadpool_limits(1):
        for name in zoo.NAMES:
            _, network, x = zoo.quantized(name)
            _, shifting, _ = zoo.quantized(name, Scheme(weights=PowerOfTwo(4)))
            figures = {
                "int8": milliseconds(network, x),
                "4-bit powers of two by shifts": milliseconds(shifting, x, arithmetic="shift"),
            }
            print(f"{name:12s}", ", ".join(f"{how} {ms:.2f} ms" for how, ms in figures.items()))


if __name__ == "__main__":
    main()
