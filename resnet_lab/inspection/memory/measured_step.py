"""One real training step in a process of its own; `memory.measure_step` starts it and reads its lines.

Reads from stdin what to do: {"spec": {…}, "input_size": [3, 32, 32], "batch": 8, …}
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.models import ModelSpec, ResNet


class _Kept:
    """What autograd keeps for the backward pass, and how far both passes are."""

    def __init__(self, model: nn.Module, layers: int) -> None:
        self.known = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
        self.sizes: dict[int, int] = {}  # storage → bytes
        self.packed, self.unpacked, self.layers, self.called, self.said = 0, 0, layers, 0, 0.0
        for module in model.modules():
            if next(module.children(), None) is None:
                module.register_forward_hook(self._called)

    def _called(self, *_: Any) -> None:
        self.called += 1
        self._say(min(1.0, self.called / self.layers) / 3)

    def pack(self, tensor: Tensor) -> Tensor:
        self.packed += 1
        storage = tensor.untyped_storage()
        if storage._cdata not in self.known:
            self.sizes[storage._cdata] = storage.nbytes()
        return tensor

    def unpack(self, tensor: Tensor) -> Tensor:
        self.unpacked += 1
        self._say(1 / 3 + 2 / 3 * min(1.0, self.unpacked / self.packed))
        return tensor

    def _say(self, progress: float) -> None:
        if time.monotonic() - self.said > 0.1:
            self.said = time.monotonic()
            print(json.dumps({"progress": progress}), flush=True)


def main(text: str) -> None:
    ask = json.loads(text)
    size, batch = tuple(ask["input_size"]), ask["batch"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    spec = ModelSpec.from_dict(ask["spec"])
    table = layer_table(spec, size)
    model = ResNet(spec).to(device).train()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[ask["optimizer"]]
    optimizer = kind(model.parameters(), lr=1e-3, **({"momentum": 0.9} if ask["optimizer"] == "sgd" else {}))
    low = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(ask["precision"])

    def step(count: int) -> None:
        images = torch.randn(count, *size, device=device)
        labels = torch.zeros(count, dtype=torch.long, device=device)
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast(device.type, dtype=low, enabled=low is not None):
            loss = cross_entropy(model(images).float(), labels)
        loss.backward()
        optimizer.step()

    base = psutil.Process().memory_info().rss
    step(2)  # gradients and the optimizer's state are there from now on
    kept = _Kept(model, len(table.rows))
    start = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack):
        step(batch)
    seconds = time.perf_counter() - start
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_rss() - base + table.weight_bytes
    result = {"kept": sum(kept.sizes.values()), "peak": peak, "seconds": seconds}
    name = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(json.dumps({**result, "device": name}), flush=True)


def peak_rss() -> int:
    """The most memory that this process has held, in bytes, as the operating system counted it."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":  # getrusage would begin with the peak of the process that started this one
        status = Path("/proc/self/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(sys.stdin.read())
