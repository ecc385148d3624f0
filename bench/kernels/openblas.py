"""Contestant: OpenBLAS, called through ctypes. The threads and the kernel (AVX2) are set in the
environment by bench.ts. Measures as workload.ts does, on the same input."""

import ctypes
import ctypes.util
import hashlib
import json
import statistics
import struct
import sys
import time
from pathlib import Path

INSTALL = "python3 -m pip install scipy-openblas32"
PRODUCTS = (
    "square", "scores", "queryGradients", "candidateGradients", "rankingShard", "rankingTable",
)
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


def give_up(why):
    print(json.dumps({"unavailable": why}))
    sys.exit(0)


def load():
    """The library and the prefix of its names: the wheel scipy-openblas32, or the system's."""
    try:
        import scipy_openblas32
        folder = Path(scipy_openblas32.__file__).parent / "lib"
        return ctypes.CDLL(str(next(folder.glob("libscipy_openblas*")))), "scipy_"
    except (ImportError, StopIteration, OSError):
        name = ctypes.util.find_library("openblas")
        if name is None:
            give_up(f"no OpenBLAS; `{INSTALL}` installs it")
        return ctypes.CDLL(name), ""


LIBRARY, PREFIX = load()
WORKLOAD = json.loads(sys.argv[1])


def function(name, arguments, result=None):
    found = getattr(LIBRARY, PREFIX + name)
    found.argtypes, found.restype = arguments, result
    return found


INT, FLOAT, POINTER = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
sgemm = function(
    "cblas_sgemm",
    [INT] * 6 + [FLOAT, POINTER, INT, POINTER, INT, FLOAT, POINTER, INT],
)
sdot = function("cblas_sdot", [INT, POINTER, INT, POINTER, INT], FLOAT)
saxpy = function("cblas_saxpy", [INT, FLOAT, POINTER, INT, POINTER, INT])
core = function("openblas_get_corename", [], ctypes.c_char_p)().decode()
if core != "Haswell":
    give_up(f"OpenBLAS runs its {core} kernel here, not the AVX2 one (Haswell)")


def make_pattern():
    state, values = 1, []
    for _ in range(65536):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 8) / 2**24 - 0.5)
    return struct.pack(f"<{len(values)}f", *values)


PATTERN = make_pattern()


def filled(length):
    block = (FLOAT * length)()
    start = ctypes.addressof(block)
    for at in range(0, length * 4, len(PATTERN)):
        ctypes.memmove(start + at, PATTERN, min(len(PATTERN), length * 4 - at))
    return block


def measure(call):
    limit = time.perf_counter() + WORKLOAD["measureMs"] / 3000
    while time.perf_counter() < limit:
        call()
    times = []
    limit = time.perf_counter() + WORKLOAD["measureMs"] / 1000
    while len(times) < 3 or time.perf_counter() < limit:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def product_rate(trans_a, trans_b, m, n, k):
    a, b, c = filled(m * k), filled(n * k), filled(m * n)
    lda, ldb = (m if trans_a else k), (k if trans_b else n)
    flags = [TRANSPOSED if flag else PLAIN for flag in (trans_a, trans_b)]
    seconds = measure(lambda: sgemm(ROW_MAJOR, *flags, m, n, k, 1, a, lda, b, ldb, 0, c, n))
    return 2 * m * n * k / seconds / 1e9


figures = {}
if len(sys.argv) > 2:
    figures["square"] = product_rate(*WORKLOAD["square"])
else:
    for name in PRODUCTS:
        figures[name] = product_rate(*WORKLOAD[name])
    length = WORKLOAD["vectorFloats"]
    x, y = filled(length), filled(length)
    figures["dot"] = 2 * length * 4 / measure(lambda: sdot(length, x, 1, y, 1)) / 1e9
    figures["axpy"] = 3 * length * 4 / measure(lambda: saxpy(length, 1e-3, x, 1, y, 1)) / 1e9
print(json.dumps({"figures": figures, "input": hashlib.sha256(PATTERN).hexdigest()}))
