"""One ResNet for every variant: stem, stages, head."""

from __future__ import annotations

from itertools import chain, groupby
from typing import Any

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
            if isinstance(module, nn.Conv2d) and "downsample" not in name
        }

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
    options |= {"stride": shape.stride, "plain": spec.is_plain}
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
