"""One ResNet for every variant: stem, stages, head."""

from __future__ import annotations

from itertools import chain, groupby
from typing import Any

import torch
from torch import Tensor, nn

from resnet_lab.models.blocks import (
    NORM_LAYERS,
    BasicBlock,
    Block,
    Bottleneck,
    PadShortcut,
    PreActBasicBlock,
    PreActBottleneck,
    deep_stem,
    initialize,
    projection,
)
from resnet_lab.models.joins import (
    ExclusiveGate,
    RandomSum,
    ShortcutDropout,
    ShortcutGate,
    StochasticDepth,
    WeightedSum,
)
from resnet_lab.models.spec import BlockShape, ModelSpec


class ResNet(nn.Module):
    """The net that `spec` describes (He et al. 2015, Table 1 and Sec. 4.2).

    Attributes carry torchvision's names (conv1, bn1, layer1 … fc), so that state dicts pass both ways. With
    `zero_init_residual` the last norm of every block starts at weight 0, so that each residual block begins as the
    identity (Goyal et al. 2017, Sec. 5.1).

    Shapes: float images (B, 3, H, W) → logits (B, num_classes).
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        shapes = spec.block_shapes()
        channels = shapes[-1].outputs
        self._build_stem()
        for stage, of_stage in groupby(shapes, key=lambda shape: shape.stage):
            self.add_module(f"layer{stage}", nn.Sequential(*(make_block(spec, shape) for shape in of_stage)))
        if spec.preactivation:
            self.bn_last = NORM_LAYERS[spec.norm](channels)
            self.relu_last = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, spec.num_classes)
        if self.fc.weight.is_meta:  # nothing to draw, for which torch would load its compiler
            return
        initialize(self)
        if spec.zero_init_residual and spec.norm != "none":
            for block in chain(*self.stages):
                nn.init.zeros_(block.get_parameter(f"bn{len(spec.block)}.weight"))

    @property
    def stages(self) -> list[nn.Sequential]:
        return [getattr(self, f"layer{i + 1}") for i in range(len(self.spec.blocks))]

    @property
    def convolutions(self) -> dict[str, nn.Module]:
        """The convolutions of the main path by name, in forward order; those of shortcuts left out."""
        return {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, nn.Conv2d) and not {"downsample", "join"} & set(name.split("."))
        }

    def set_shortcut_scale(self, value: float, stage: int | None = None, block: int | None = None) -> bool:
        """Makes α `value` in all blocks, those of a stage (from 1) or one block of it (from 0); `spec` says so.

        It holds from the next forward on. Returns whether a captured step has to be captured anew: where α was a
        number, which a graph holds, it is a buffer from now on, which later calls fill
        (docs/decisions/shortcut-strength.md).

        Raises:
            ValueError: there is no such stage or block, the net is plain, or α may not be that.
        """
        shapes = self.spec.block_shapes()
        chosen = [s for s in shapes if stage in (None, s.stage) and block in (None, s.position)]
        if not chosen or (stage is None and block is not None):
            raise ValueError(
                f"there is no block {block} of stage {stage}; the stages have {self.spec.blocks}"
            )
        scales = tuple(float(value) if shape in chosen else shape.shortcut_scale for shape in shapes)
        self.spec, is_new = self.spec.replace(shortcut_scale=scales), False
        for shape in chosen:
            is_new |= _set_scale(self.get_submodule(shape.name), float(value))
        return is_new

    def seed_joins(self, seed: int) -> None:
        """What dropout on shortcuts and stochastic depth draw in the next forward follows from `seed`."""
        for i, join in enumerate(module for module in self.modules() if isinstance(module, RandomSum)):
            join.seed = seed + 1_000_003 * i

    def stem(self, x: Tensor) -> Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def head(self, x: Tensor) -> Tensor:
        """From the last block's output to the logits."""
        if self.spec.preactivation:
            x = self.relu_last(self.bn_last(x))
        x = self.avgpool(x).flatten(1)  # (B, channels)
        return self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, width, H/4, W/4); the CIFAR stem keeps H and W
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def _build_stem(self) -> None:
        spec, norm = self.spec, NORM_LAYERS[self.spec.norm]
        width, bias = spec.width, spec.conv_bias
        # The first unit of a pre-activation net brings its own norm and ReLU.
        bare = spec.preactivation or spec.stem == "tutorial"
        if spec.stem == "cifar":
            self.conv1: nn.Module = nn.Conv2d(3, width, 3, padding=1, bias=bias)
        elif spec.stem == "deep":
            self.conv1 = deep_stem(width, norm, bias)
        else:
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=bias)
        self.bn1 = nn.Identity() if bare else norm(width)
        self.relu = nn.Identity() if bare else nn.ReLU()
        self.maxpool = nn.Identity() if spec.stem == "cifar" else nn.MaxPool2d(3, stride=2, padding=1)


def block_class(spec: ModelSpec) -> type[BasicBlock] | type[Bottleneck]:
    if len(spec.block) == 2:
        return PreActBasicBlock if spec.preactivation else BasicBlock
    return PreActBottleneck if spec.preactivation else Bottleneck


def make_block(spec: ModelSpec, shape: BlockShape) -> Block:
    kind, norm = block_class(spec), NORM_LAYERS[spec.norm]
    options: dict[str, Any] = {"kernels": spec.block, "norm": norm, "bias": spec.conv_bias}
    options |= {"stride": shape.stride, "plain": spec.is_plain, "join": make_join(spec, shape)}
    if shape.shortcut == "pad":
        options["downsample"] = PadShortcut(shape.inputs, shape.outputs, shape.stride)
    elif shape.shortcut == "projection":
        its = None if spec.preactivation else norm
        options["downsample"] = projection(shape.inputs, shape.outputs, shape.stride, its, spec.conv_bias)
    if issubclass(kind, BasicBlock):
        return kind(shape.inputs, shape.outputs, **options)
    return kind(
        shape.inputs, shape.inner, shape.outputs, groups=shape.groups, dilation=shape.dilation, **options
    )


def make_join(spec: ModelSpec, shape: BlockShape) -> WeightedSum | None:
    """None where F(x) and the shortcut are added as they are."""
    scales: dict[str, Any] = {
        "shortcut_scale": shape.shortcut_scale, "residual_scale": shape.residual_scale, "learned": spec.learned_scale,
    }  # fmt: skip
    match spec.join:
        case "exclusive_gate" | "shortcut_gate":
            kind = ExclusiveGate if spec.join == "exclusive_gate" else ShortcutGate
            return kind(shape.inputs, shape.outputs, shape.stride, spec.gate_bias, **scales)
        case "dropout" | "stochastic_depth":
            return (ShortcutDropout if spec.join == "dropout" else StochasticDepth)(shape.drop_rate, **scales)
    is_sum = (shape.shortcut_scale, shape.residual_scale) == (1, 1) and not spec.learned_scale
    return None if is_sum else WeightedSum(**scales)


def _set_scale(block: Any, value: float) -> bool:
    """Whether α of `block` was a number until now, and has become a buffer."""
    if block.join is None:
        if value == 1:
            return False
        block.join = WeightedSum()
    join = block.join
    if isinstance(join.shortcut_scale, Tensor):
        join.shortcut_scale.fill_(value)
        return False
    del join.shortcut_scale
    weight = next(block.parameters())
    join.register_buffer("shortcut_scale", torch.tensor(value, device=weight.device), persistent=False)
    return True
