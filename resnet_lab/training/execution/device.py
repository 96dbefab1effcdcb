"""What this machine can do: device, precision, how much of it is used."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psutil
import torch

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """The device that `name` means; "auto" is CUDA, then MPS, then the CPU.

    Raises:
        ValueError: for a device that this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ValueError(
            f"device is {name!r}, which this machine does not have; try 'auto' or 'cpu'"
        ) from None
    return device


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
        ValueError: fp16 on a device other than CUDA, which has no gradient scaling for it.
    """
    if name == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision is 'fp16' on {device.type}; it needs a CUDA device, try 'bf16' or 'auto'"
        )


def half_precision(device: torch.device) -> str | None:
    """bf16 where the device has instructions for it, fp16 on older GPUs, else None."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu":
        able = _cpu_capabilities()
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else None
    return None


def _cpu_capabilities() -> dict[str, Any]:
    """What torch says of the processor; nothing where torch is too old to say."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask() if ask else {}


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=AUTOCAST[precision])


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
    except (ModuleNotFoundError, RuntimeError):  # needs nvidia-ml-py
        return None
