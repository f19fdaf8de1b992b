"""How fast is the decoder on each backend of Keras that is installed?

`benchmarks/decoder.py` on one after the other, each in a process of its own; its sizes and aims
stand there. Only figures of one run, on a machine that does nothing else, compare.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

FIGURES = {
    "matmul, GFLOP/s": r"matmul at (\d+) GFLOP/s",
    "training step, s": r"forward and backward +([\d.]+) s",
    "greedy, captions/s": r"greedy +(\d+) captions/s",
    "5 beams, captions/s": r"5 beams +(\d+) captions/s",
}


def main():
    print(f"{'':12s}" + "".join(f"{name:>22s}" for name in FIGURES))
    for backend in ("tensorflow", "jax", "torch"):
        if importlib.util.find_spec(backend) is None:
            print(f"{backend:12s} isn't installed")
            continue
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("decoder.py")],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"KERAS_BACKEND": backend},
        )
        found = [re.search(pattern, done.stdout)[1] for pattern in FIGURES.values()]
        print(f"{backend:12s}" + "".join(f"{figure:>22s}" for figure in found), flush=True)


if __name__ == "__main__":
    main()
