"""A whole step as one CUDA graph: a step of a small net is some 500 launches, and the GPU would wait for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class CaptureError(RuntimeError):
    """A step that a graph cannot hold."""


def capture(function: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """What `function` returns, and what computes that anew, in the same place, from what then lies where it has read.

    Pages may allocate on the device meanwhile: only this thread's calls are held to what a graph can hold.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = function()
    return result, graph.replay


class CapturedStep:
    """`step` of images (B, 3, H, W) and labels (B,), with its update by `optimizer`; for batches of this shape alone.

    What `step` reads and writes must have been allocated before, as by a step that was not captured, and must stay
    where it is. Capturing takes no step; `take` does. The learning rates of the optimizer's groups become tensors until
    `release`, since a graph reads numbers only once.

    Raises:
        CaptureError: `step` waits for the device, or does something else that a graph cannot hold.
    """

    def __init__(self, step: Step, images: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer) -> None:
        self.images, self.labels, self.groups = images.clone(), labels.clone(), optimizer.param_groups
        for group in self.groups:
            group["lr"] = torch.full((), float(group["lr"]), device=images.device)
            if "capturable" in group:  # Adam's
                group["capturable"] = True
        try:
            self.results, self.replay = capture(lambda: torch.stack(step(self.images, self.labels)))
        except RuntimeError as error:
            release(self.groups)
            raise CaptureError(str(error)) from error

    def take(self, images: Tensor, labels: Tensor, rates: Sequence[float]) -> tuple[Tensor, ...]:
        """What `step` returns, on this batch, at these rates of the groups."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        for group, rate in zip(self.groups, rates, strict=True):
            group["lr"].fill_(rate)
        self.replay()
        return self.results.clone().unbind()


def release(groups: Sequence[dict[str, Any]]) -> None:
    """Makes groups of a captured step those of an ordinary optimizer again, as also where a checkpoint holds them."""
    for group in groups:
        group["lr"] = float(group["lr"])
        if "capturable" in group:
            group["capturable"] = False
