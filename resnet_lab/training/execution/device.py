"""What this machine can do: device, precision, how much of it is used."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import psutil
import torch

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}

# By torch's default cuDNN rounds the operands of float32 convolutions to TF32's 10 bits, and the gradient of plain56
# points elsewhere. Here float32 is float32, whoever asks, and TF32 a precision of its own (docs/decisions/gpu.md).
torch.backends.cudnn.allow_tf32 = False


def pick_device(name: str) -> torch.device:
    """The device that `name` means; "auto" is CUDA, then MPS, then the CPU: the first that works.

    Raises:
        ValueError: for a device that this machine lacks.
    """
    if name == "auto":
        return next(device for device in map(torch.device, ("cuda", "mps", "cpu")) if _works(device))
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or not _works(device):
        raise ValueError(
            f"device is {name!r}, which this machine does not have, or for which this torch was not built; try 'auto' "
            "or 'cpu'"
        )
    return device


@cache
def _works(device: torch.device) -> bool:
    """Whether it adds: torch also finds a GPU that is too old for the kernels that it brings."""
    try:
        return float(torch.ones(1, device=device).add_(1)) == 2
    except (RuntimeError, AssertionError):
        return False


def pick_page_device() -> torch.device:
    """Where pages compute beside a run: on the GPU too, but not on MPS, which two threads bring down (pytorch issue
    197805).
    """
    device = pick_device("auto")
    return torch.device("cpu") if device.type == "mps" else device


_before: list[tuple[bool, bool]] = []  # what was set before the first of the runs under way that want it


@contextmanager
def deterministic() -> Iterator[None]:
    """The same numbers each time on the same machine. torch keeps this for the whole process, so other
    threads compute that way too, meanwhile. Runs that take turns may enter and leave in any order.
    """
    if not _before:
        _before.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    else:
        _before.append(_before[-1])
    try:
        yield
    finally:
        algorithms, benchmark = _before.pop()
        if not _before:
            torch.use_deterministic_algorithms(algorithms)
            torch.backends.cudnn.benchmark = benchmark


def check_precision(name: str, device: torch.device) -> None:
    """
    Raises:
        ValueError: fp16, whose gradients want scaling, or TF32 on a device other than CUDA.
    """
    if name in ("fp16", "tf32") and device.type != "cuda":
        raise ValueError(
            f"precision is {name!r} on {device.type}; it needs a CUDA device, try 'bf16' or 'auto'"
        )


def half_precision(device: torch.device) -> str | None:
    """bf16 where the device has instructions for it, fp16 on older GPUs, else None."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu":
        able = _cpu_capabilities()
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else None
    return None


def has_tf32(device: torch.device) -> bool:
    """Ampere and newer."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _cpu_capabilities() -> dict[str, Any]:
    """What torch says of the processor; nothing where torch is too old to say."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask() if ask else {}


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A forward pass in this precision; its backward pass wants `tf32` besides, as it does not remember that one."""
    if precision in AUTOCAST:
        return torch.autocast(device.type, dtype=AUTOCAST[precision])
    return tf32(precision == "tf32")


@contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Convolutions round their operands to 10 bits, if `wanted`. torch keeps this for the whole process: a page that
    computes meanwhile does so too.
    """
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, wanted
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        name = _cpu_capabilities().get("cpu_name") or platform.machine()
        return f"{name}, {torch.get_num_threads()} threads"
    return device.type


def memory_mb(device: torch.device) -> float:
    """MiB that the device holds for this process; on the CPU, resident memory."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device) / 2**20
    return psutil.Process().memory_info().rss / 2**20


def device_use(device: torch.device) -> float | None:
    """The part of the device's time that it has worked, 0 to 1, since the last question; None if nothing tells."""
    if device.type == "cpu":
        return psutil.cpu_percent() / 100
    try:
        return torch.cuda.utilization(device) / 100 if device.type == "cuda" else None
    except Exception:  # of nvidia-ml-py, which may be missing, and whose NVMLError is of no better kind
        return None
