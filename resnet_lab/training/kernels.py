"""The C++ kernels for training on a CPU: norm.cpp and convolution.cpp, compiled for the processor at hand.

docs/decisions/cpu-kernels.md has the reasons.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from resnet_lab.data.cache import cache_path
from resnet_lab.data.datasets import data_root

SOURCES = [Path(__file__).with_name(name) for name in ("norm.cpp", "convolution.cpp")]
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
_compiling = threading.Lock()


class Norm(ctypes.Structure):
    """`Norm` of norm.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "channels")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "stats")),
    ]


class Shape(ctypes.Structure):
    """`Shape` of convolution.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("images", "height", "width", "inputs", "outputs")]


def prepare() -> None:
    """Begins to compile the kernels for this processor, beside whatever comes next, unless that was done before."""
    threading.Thread(target=kernels, daemon=True).start()


def kernels() -> ctypes.CDLL | None:
    """What the sources export; None where they cannot be compiled. Takes some two seconds for the first time.

    Convolutions are there if the processor has AVX512_BF16.
    """
    with _compiling:
        return _library()


@cache
def _library() -> ctypes.CDLL | None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if sys.platform != "linux" or compiler is None:
        return None
    code = [source.read_bytes() for source in SOURCES]
    key = *code, FLAGS, os.path.realpath(compiler), _openmp_of_torch(), _processor()
    target = cache_path(data_root(), "kernels", *key).with_suffix(".so")
    if not (target.exists() or _compile(compiler, target)):
        return None
    try:
        library = ctypes.CDLL(str(target.resolve()))  # lets other Python threads run meanwhile
    except OSError:
        target.unlink(missing_ok=True)  # damaged; the next process compiles it again
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_double
    for kind in ("float32", "bfloat16"):
        getattr(library, f"forward_{kind}").argtypes = [pointer] * 6 + [number] * 2
        getattr(library, f"backward_{kind}").argtypes = [pointer] * 8
    if hasattr(library, "convolution"):
        library.convolution.argtypes = [pointer] * 4 + [ctypes.c_int]
        library.convolution_weight.argtypes = [pointer] * 4
    return library


def _compile(compiler: str, target: Path) -> bool:
    """Whether it worked. Processes that compile at the same time do not see each other's unfinished files."""
    unfinished = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [compiler, *FLAGS, *map(str, SOURCES), "-o", str(unfinished), *_openmp_of_torch()]
        subprocess.run(command, check=True, capture_output=True)
        os.replace(unfinished, target)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _openmp_of_torch() -> list[str]:
    """The library whose threads torch uses: a second set of threads would be in the way of the first."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    names = "libgomp", "libiomp", "libomp"
    found = {line.split()[-1] for line in lines if line.split("/")[-1].startswith(names)}
    return sorted(found, key=lambda path: ("torch" not in path, path))[:1]  # scikit-learn brings one too


def _processor() -> list[str]:
    """Name and instructions, for a folder that machines share."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return sorted(
        {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    )
