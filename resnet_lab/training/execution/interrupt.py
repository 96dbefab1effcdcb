"""Stopping inside a step, for nets whose single step takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from resnet_lab.models.blocks import Block


class Interrupted(Exception):
    """`should_stop` turned true in the middle of a step."""


@contextmanager
def interruptible(model: nn.Module, should_stop: Callable[[], bool] | None) -> Iterator[None]:
    """Asks `should_stop`, if there is one, after each block, forward and backward, and raises `Interrupted`."""
    if should_stop is None:
        yield
        return

    def check(*_: object) -> None:
        if should_stop():
            raise Interrupted

    def after_block(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        check()
        if output.requires_grad:
            output.register_hook(check)

    hooks = [m.register_forward_hook(after_block) for m in model.modules() if isinstance(m, Block)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
