"""One ResNet for every variant: stem, stages, head."""

from __future__ import annotations

from torch import Tensor, nn

from resnet_lab.models.blocks import (
    NORM_LAYERS,
    Block,
    BlockShape,
    NormLayer,
    PadShortcut,
    PreActivationBlock,
)
from resnet_lab.models.spec import ModelSpec


class ResNet(nn.Module):
    """The net that `spec` describes (He et al. 2015, Table 1 and Sec. 4.2).

    Attributes carry torchvision's names (conv1, bn1, layer1 … fc), so that state dicts pass both ways.

    Shapes: float images (B, 3, H, W) → logits (B, num_classes).
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channels = spec.width  # running count while the stages are built
        self.dilation = 1
        self._build_stem()
        for i in range(len(spec.blocks)):
            self.add_module(f"layer{i + 1}", self._build_stage(i))
        if spec.preactivation:
            self.bn_last = NORM_LAYERS[spec.norm](self.channels)
            self.relu_last = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(self.channels, spec.num_classes)
        initialize(self)

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

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, width, H/4, W/4); the CIFAR stem keeps H and W
        for stage in self.stages:
            x = stage(x)
        if self.spec.preactivation:
            x = self.relu_last(self.bn_last(x))
        x = self.avgpool(x).flatten(1)  # (B, channels)
        return self.fc(x)

    def _build_stem(self) -> None:
        spec, norm = self.spec, NORM_LAYERS[self.spec.norm]
        width, bias = spec.width, spec.conv_bias
        # The first unit of a pre-activation net brings its own norm and ReLU.
        bare = spec.preactivation or spec.stem == "tutorial"
        if spec.stem == "cifar":
            self.conv1: nn.Module = nn.Conv2d(3, width, 3, padding=1, bias=bias)
        elif spec.stem == "deep":
            self.conv1 = _deep_stem(width, norm, bias)
        else:
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=bias)
        self.bn1 = nn.Identity() if bare else norm(width)
        self.relu = nn.Identity() if bare else nn.ReLU()
        small = spec.stem == "cifar"
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)

    def _build_stage(self, stage: int) -> nn.Sequential:
        spec = self.spec
        outputs = spec.planes(stage) * spec.expansion
        stride = 1 if stage == 0 else 2
        first_dilation = self.dilation
        if stage > 0 and spec.dilation and spec.dilation[stage - 1]:
            self.dilation *= stride  # as torchvision: the first block keeps the earlier dilation
            stride = 1
        blocks = []
        for position in range(spec.blocks[stage]):
            first = position == 0
            shape = BlockShape(
                inputs=self.channels,
                inner=spec.inner_width(stage),
                outputs=outputs,
                stride=stride if first else 1,
                groups=spec.groups,
                dilation=first_dilation if first else self.dilation,
            )
            blocks.append(self._build_block(shape, stage, position))
            self.channels = outputs
        return nn.Sequential(*blocks)

    def _build_block(self, shape: BlockShape, stage: int, position: int) -> Block:
        spec = self.spec
        kind = PreActivationBlock if spec.preactivation else Block
        return kind(
            spec.block,
            shape,
            NORM_LAYERS[spec.norm],
            downsample=self._downsample(shape, stage, position),
            has_shortcut=not spec.is_plain,
            bias=spec.conv_bias,
        )

    def _downsample(self, shape: BlockShape, stage: int, position: int) -> nn.Module | None:
        """The shortcut's own layers, or None for an identity (or for no shortcut at all)."""
        spec = self.spec
        extra = bool(spec.extra_projections) and position in spec.extra_projections[stage]
        wanted = shape.changes_shape or extra or spec.shortcut == "projection_all"
        if spec.is_plain or not wanted:
            return None
        if spec.shortcut == "pad":
            return PadShortcut(shape.inputs, shape.outputs, shape.stride)
        conv = nn.Conv2d(shape.inputs, shape.outputs, 1, stride=shape.stride, bias=spec.conv_bias)
        if spec.preactivation:  # its input is normalised already (He et al. 2016, authors' code)
            return nn.Sequential(conv)
        return nn.Sequential(conv, NORM_LAYERS[spec.norm](shape.outputs))


def _deep_stem(width: int, norm: NormLayer, bias: bool) -> nn.Sequential:
    """Three 3×3 convolutions in place of the 7×7 (Inception-v3's stem; "ResNet-C" of He et al. 2018)."""
    half = max(width // 2, 1)
    return nn.Sequential(
        nn.Conv2d(3, half, 3, stride=2, padding=1, bias=bias),
        norm(half),
        nn.ReLU(),
        nn.Conv2d(half, half, 3, padding=1, bias=bias),
        norm(half),
        nn.ReLU(),
        nn.Conv2d(half, width, 3, padding=1, bias=bias),
    )


def initialize(model: ResNet) -> None:
    """Kaiming normal, fan out, for convolutions (He et al. 2015b); norms start at weight 1 and bias 0.

    With `zero_init_residual` the last norm of every block starts at weight 0, so that each residual
    block begins as the identity (Goyal et al. 2017, Sec. 5.1).
    """
    if model.fc.weight.is_meta:  # nothing to draw, for which torch would load its compiler
        return
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    if model.spec.zero_init_residual:
        for module in model.modules():
            if isinstance(module, Block) and isinstance(module.last_norm, nn.BatchNorm2d | nn.GroupNorm):
                nn.init.zeros_(module.last_norm.weight)
