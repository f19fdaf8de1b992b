"""What the benchmarks share: medians of interleaved runs, and the machine's matmul rate."""

import statistics
import time

import numpy as np


def medians(repeats: int = 7, **runs) -> dict[str, float]:
    """Seconds each of `runs` takes: the median of `repeats`, taken in turn after one warm-up."""
    for run in runs.values():
        run()
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def matmul(size: int = 4096):
    """A float32 matmul to time beside the rest, and its floating-point operations."""
    import keras

    a = keras.ops.convert_to_tensor(np.ones((size, size), "float32"))
    return lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, a))[0, 0], 2 * size**3
