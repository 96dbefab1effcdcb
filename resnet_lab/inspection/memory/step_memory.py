"""The memory of one training step: estimated from the layer table, and measured in a process of its own."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile

import psutil
import torch

from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.inspection.table.records import LayerTable, Shape
from resnet_lab.models import ModelSpec

VALUE_BYTES = {"float32": 4, "bf16": 2, "fp16": 2}
STATES = {"sgd": 1, "adam": 2}  # float32 values that the optimizer keeps for each parameter
MAX_BATCH = 4096
ROOM = 0.8  # the part of the free memory that a step may take
STEP = "resnet_lab.inspection.memory.measured_step"  # what the process runs


@dataclass(frozen=True)
class StepMemory:
    """Bytes that one training step needs at the end of its forward pass, when it needs most.

    `low_precision_weights` are autocast's copies of the weights, kept for the backward pass.
    Workspaces of the convolutions and the few gradients in flight come on top.
    """

    weights: int
    gradients: int
    optimizer: int
    low_precision_weights: int
    images: int
    activations: int

    @property
    def kept(self) -> int:
        """What autograd keeps for the backward pass."""
        return self.low_precision_weights + self.images + self.activations

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


def estimate_step(
    table: LayerTable, batch: int, precision: str = "float32", optimizer: str = "sgd"
) -> StepMemory:
    """What a step of `batch` images needs; weights, gradients and optimizer stay float32 under autocast.

    Raises:
        ValueError: for a batch outside 1 to 4,096, an unknown precision or optimizer.
    """
    if not isinstance(batch, int) or not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch is {batch!r}; it may be a whole number from 1 to {MAX_BATCH:,}")
    if precision not in VALUE_BYTES:
        raise ValueError(f"precision is {precision!r}; it may be {', '.join(VALUE_BYTES)}")
    if optimizer not in STATES:
        raise ValueError(f"optimizer is {optimizer!r}; it may be {', '.join(STATES)}")
    value = VALUE_BYTES[precision]
    copy = value if value < 4 else 0  # bytes of what autocast casts
    products = sum(row.params for row in table.rows if row.macs)  # convolutions and linear layers
    return StepMemory(
        weights=table.weight_bytes,
        gradients=4 * table.trainable_params,
        optimizer=4 * STATES[optimizer] * table.trainable_params,
        low_precision_weights=copy * products,
        images=batch * math.prod(table.input_size) * (4 + copy),
        activations=batch * table.activation_bytes(value),
    )


@dataclass(frozen=True)
class MeasuredStep:
    """One real step: bytes that autograd kept, the most that was held at once, and the time it took.

    On a GPU `peak` is what the allocator gave out; on a CPU it is the growth of the process, weights
    included, as the operating system counts it.
    """

    kept: int
    peak: int
    seconds: float
    device: str


def measure_step(
    spec: ModelSpec, input_size: Shape, batch: int, precision: str = "float32", optimizer: str = "sgd"
) -> Iterator[float | MeasuredStep]:
    """Runs one step in a process of its own: yields how far it is (0 to 1), and last a `MeasuredStep`.

    Closing the iterator ends the process.

    Raises:
        ValueError: the step would not fit into the free memory, or did not come to its end.
    """
    estimate_step(layer_table(spec, input_size), batch, precision, optimizer)  # refuses what it does not know
    if problem := shortage(spec, input_size, batch, precision, optimizer):
        raise ValueError(problem)
    ask = {"spec": spec.to_dict(), "input_size": input_size, "batch": batch, "precision": precision,
           "optimizer": optimizer}  # fmt: skip
    command, pipe, root = [sys.executable, "-m", STEP], subprocess.PIPE, Path(__file__).parents[3]
    with (
        TemporaryFile("w+") as complaints,  # a file, as a full pipe would stop the process
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, text=True, cwd=root) as process,
        contextlib.ExitStack() as at_the_end,
    ):
        at_the_end.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(ask))
        for line in process.stdout:
            news = json.loads(line)
            yield news["progress"] if "progress" in news else MeasuredStep(**news)
        if process.wait():
            complaints.seek(0)
            last = complaints.read().strip().splitlines()[-1:]
            raise ValueError(f"the step did not come to its end: {' '.join(last)[:300] or 'out of memory'}")


def shortage(
    spec: ModelSpec,
    input_size: Shape,
    batch: int,
    precision: str = "float32",
    optimizer: str = "sgd",
    device: torch.device | None = None,
) -> str:
    """In words, that such a step does not fit into the memory that is free now; "" where it does.

    Raises:
        ValueError: as `estimate_step`, which counts a larger batch as the largest that it takes.
    """
    need = estimate_step(layer_table(spec, input_size), min(batch, MAX_BATCH), precision, optimizer).total
    on_gpu = torch.cuda.is_available() if device is None else device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available
    if need <= ROOM * free:
        return ""
    return (
        f"a step needs about {need / 1e9:,.1f} GB and this {'GPU' if on_gpu else 'machine'} has "
        f"{free / 1e9:,.1f} GB free; choose a smaller batch or smaller images"
    )
