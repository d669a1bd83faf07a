"""How fast this machine multiplies matrices of the guide's shapes: the floor under any training.

    python benchmarks/speed/products.py [THREADS]

Prints billions of operations a second in each number format: the tenth percentile of the times of
many products, and their median. A format without instructions takes minutes: Ctrl-C.
"""

from __future__ import annotations

import sys
import time

import torch

from descend.machine import available_cores, cpu_name

SHAPES = ((512, 128, 512), (2048, 256, 256), (2048, 256, 1024), (2048, 1024, 256))
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
TIMES = 100


def rates(shape: tuple[int, int, int], dtype: torch.dtype) -> tuple[float, float]:
    """Billions of operations a second: nearly the best, and in the middle."""
    rows, inner, columns = shape
    a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    seconds.sort()
    work = 2 * rows * inner * columns / 1e9
    return work / seconds[TIMES // 10], work / seconds[TIMES // 2]


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else available_cores()
    torch.set_num_threads(threads)
    print(f"python benchmarks/speed/products.py {threads}")
    print(f"{cpu_name()}, torch {torch.__version__}, threads: {threads}; best tenth (median)")
    print("rows, inner, columns  " + "".join(f"{str(f)[6:]:>16}" for f in FORMATS), flush=True)
    for shape in SHAPES:
        measured_rates = (rates(shape, dtype) for dtype in FORMATS)
        cells = "".join(f"{f'{best:.0f} ({middle:.0f})':>16}" for best, middle in measured_rates)
        print(f"{', '.join(map(str, shape)):22}{cells}", flush=True)


if __name__ == "__main__":
    main()
