"""A worker that measures the yardstick: NumPy's product of two 1024 x 1024 matrices in single precision."""

from __future__ import annotations

import time

import numpy as np
from worker import clock, serve

SIZE = 1024
a, b = (np.random.default_rng(k).standard_normal((SIZE, SIZE), dtype=np.float32) for k in (0, 1))
c = np.empty_like(a)


def measure(seconds: float) -> dict:
    """Return floating-point operations per second, two for a multiply-add, over about so many seconds."""
    np.matmul(a, b, out=c)
    products, start = 0, clock()
    while (elapsed := clock() - start) < seconds:
        np.matmul(a, b, out=c)
        products += 1
    # OpenBLAS's threads spin for a while before they sleep, which whoever is measured next should not feel.
    time.sleep(0.05)
    return {"operationsPerSecond": products * 2 * SIZE**3 / elapsed}


if __name__ == "__main__":
    serve({"measure": measure, "versions": lambda: {"numpy": np.__version__}})
