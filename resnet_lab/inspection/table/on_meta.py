"""Running anyone's net on the meta device, where tensors have a shape and no values, and leaving it as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from resnet_lab.inspection.table.layer import tensors_of

META = torch.device("meta")


def stand_ins(model: nn.Module) -> dict[str, Tensor]:
    """Stand-ins for the parameters and buffers; autograd will ask the same ones for gradients."""
    found = {name: torch.empty_like(b, device="meta") for name, b in model.named_buffers()}
    for name, p in model.named_parameters():
        found[name] = torch.empty_like(p, device="meta", requires_grad=p.requires_grad)
    return found


def on_meta(func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The same call where everything lies on the meta device: what the forward moves, what it made before, by an
    attribute that is no buffer perhaps, and what it makes here for a device of its own choice.
    """
    if func in (Tensor.cpu, Tensor.cuda):
        return Tensor.to, (args[0], META), {}
    if func is Tensor.to:
        args = tuple(META if isinstance(value, str | torch.device) else value for value in args)
    if kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": META}
    if any(tensor.is_meta for tensor in tensors_of((*args, *kwargs.values()))):
        args, kwargs = tree_map_only(Tensor, lambda t: t if t.is_meta else t.to(META), (args, kwargs))
    return func, args, kwargs


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Puts back every attribute of every module: modes, hooks, and what a forward keeps there, such as a grid of
    coordinates that it makes once and that would have no values when the net is run.
    """
    kept = [(vars(module), dict(vars(module))) for module in model.modules()]
    containers = (held for _, was in kept for held in was.values() if isinstance(held, dict | list | set))
    filled: list[tuple[Any, Any]] = [(held, copy(held)) for held in containers]
    try:
        yield
    finally:
        for attributes, was in kept:
            attributes.clear()
            attributes.update(was)
        for held, before in filled:
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)


def reason(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if re.search(r"(\b|_)meta\b", text, re.IGNORECASE):
        return "it needs the values of a tensor (as item(), or an if, does), and a layer table knows only the shapes"
    return text
