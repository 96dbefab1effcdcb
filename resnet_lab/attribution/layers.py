"""Where a map is read: stages by name, other modules by path."""

from __future__ import annotations

import re

from torch import nn

TargetLayer = str | nn.Module | None


def stage_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the model's stages in order, "layer1" first; none for a net that has no stages."""
    return tuple(name for name, _ in model.named_children() if re.fullmatch(r"layer\d+", name))


def find_layer(model: nn.Module, layer: TargetLayer) -> nn.Module:
    """The module that `layer` means: a stage ("layer3"), any module's path, a module, or None for the last stage.

    Raises:
        ValueError: this net has no such layer; the message says which it has.
    """
    if isinstance(layer, nn.Module):
        if not any(layer is module for module in model.modules()):
            raise ValueError(f"layer is a {type(layer).__name__} of another net; {stages_in_words(model)}")
        return layer
    stages = stage_names(model)
    if layer is None and not stages:
        raise ValueError("this net has no stages; give layer a module or its path")
    name = stages[-1] if layer is None else layer
    # A pre-activation stage ends in a bare sum, and the norm and ReLU that belong to it come next: in the
    # stage after it, or before the pooling. Only there does 0 mean "not present", which Grad-CAM's weighted
    # sum takes for granted, so that is where a stage is read. The module itself gives the bare sum.
    if name in stages and hasattr(model, "relu_last"):
        following = stages.index(name) + 1
        name = f"{stages[following]}.0.relu1" if following < len(stages) else "relu_last"
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise ValueError(f"layer is {layer!r}; {stages_in_words(model)}") from None


def stages_in_words(model: nn.Module) -> str:
    return f"it may be {', '.join(stage_names(model))}, or the path of another module of this net"
