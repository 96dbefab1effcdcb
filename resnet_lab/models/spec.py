"""What a residual net is made of, as data: `ModelSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import Annotated, ClassVar, Literal, Self

from pydantic import model_validator

from resnet_lab.schema import Record, about, record

Shortcut = Literal["pad", "projection", "projection_all", "none"]
BlockShortcut = Literal["identity", "pad", "projection", "none"]
Stem = Literal["imagenet", "cifar", "deep", "tutorial"]
Norm = Literal["batch", "group", "none"]

BLOCKS = ((3, 3), (1, 3, 1), (3, 1), (1, 3), (3, 1, 1), (3, 1, 3))
MAX_BLOCKS = 2_000  # resnet1202 has 600
MAX_CHANNELS = 2**20  # of a layer; beyond it a convolution has more weights than torch can count
Width = Annotated[int, about(ge=1, le=4096)]


@dataclass(frozen=True)
class BlockShape:
    """Where one block stands, and what it turns into what: channels unless said otherwise."""

    stage: int  # from 1
    position: int  # in the stage, from 0
    inputs: int
    inner: int
    outputs: int
    stride: int
    dilation: int
    groups: int
    shortcut: BlockShortcut

    @property
    def name(self) -> str:
        """Of the module."""
        return f"layer{self.stage}.{self.position}"

    @property
    def changes_shape(self) -> bool:
        return self.stride != 1 or self.inputs != self.outputs


@record
class ModelSpec(Record):
    """One residual (or plain) net. Every field has a default, so a variant is one line.

    Raises:
        SchemaError: naming the field, what it got and what it may be.
    """

    what: ClassVar[str] = "a model spec"

    name: Annotated[str, about("What the screen calls it.", max_length=200)] = "custom"
    block: Annotated[
        tuple[int, ...],
        about(
            "Kernel sizes of the convolutions in a block: (3, 3) is the BasicBlock and (1, 3, 1) the Bottleneck of "
            "He et al. 2015 (Fig. 5); the rest are those of Wide ResNet (Zagoruyko and Komodakis 2016, Sec. 2)."
        ),
    ] = (3, 3)
    blocks: Annotated[
        tuple[Annotated[int, about(ge=1)], ...],
        about("One count for each of 1 to 6 stages.", title="Blocks per stage", min_length=1, max_length=6),
    ] = (2, 2, 2, 2)
    width: Annotated[
        Width, about("Channels of the first stage, before a Bottleneck's expansion by 4; doubles each stage.")
    ] = 64
    groups: Annotated[Width, about("Of a Bottleneck's 3×3 convolutions, as in ResNeXt.")] = 1
    width_per_group: Annotated[
        Width, about("A Bottleneck's inner width is ⌊planes · this / 64⌋ · groups, as in torchvision.")
    ] = 64
    shortcut: Annotated[
        Shortcut,
        about(
            "pad: option A, a zero-padded identity; projection: option B, a 1×1 convolution where the shape "
            "changes; projection_all: option C, everywhere; none: a plain net."
        ),
    ] = "projection"
    stem: Annotated[
        Stem,
        about(
            "imagenet: 7×7/2, norm, ReLU, 3×3/2 max pool; cifar: 3×3; deep: three 3×3; tutorial: 7×7/2, then max "
            "pool, nothing between."
        ),
    ] = "imagenet"
    preactivation: Annotated[
        bool, about("Norm and ReLU before each convolution (He et al. 2016).", title="Pre-activation")
    ] = False
    zero_init_residual: Annotated[
        bool,
        about(
            "The last norm of each block starts at weight 0 (Goyal et al. 2017, Sec. 5.1).",
            title="Zero-init residual",
        ),
    ] = False
    dilation: Annotated[
        tuple[bool, ...],
        about("For each stage after the first: whether dilation replaces its stride.", max_length=5),
    ] = ()
    norm: Annotated[Norm, about("group: up to 32 groups (Wu and He 2018).")] = "batch"
    num_classes: Annotated[int, about("Outputs of the head.", title="Classes", ge=1, le=100_000)] = 1000
    conv_bias: Annotated[
        bool, about("Convolutions with bias, as in the tutorial net.", title="Convolution bias")
    ] = False
    extra_projections: Annotated[
        tuple[tuple[Annotated[int, about(ge=0)], ...], ...],
        about(
            "For each stage, block positions (from 0) that carry a projection although the shape does not change "
            "(the tutorial net).",
            max_length=6,
        ),
    ] = ()

    @property
    def expansion(self) -> int:
        """Output channels of a block per plane: 4 for the Bottleneck, else 1."""
        return 4 if self.block == (1, 3, 1) else 1

    @property
    def is_plain(self) -> bool:
        return self.shortcut == "none"

    def planes(self, stage: int) -> int:
        """Channels of stage `stage` (from 0) before expansion."""
        return self.width * 2**stage

    def inner_width(self, stage: int) -> int:
        """Channels inside a block of this stage (torchvision's `width`)."""
        return int(self.planes(stage) * (self.width_per_group / 64)) * self.groups

    def block_shapes(self) -> list[BlockShape]:
        """All blocks in forward order."""
        shapes = []
        inputs, dilation = self.width, 1
        padded_or_projected: BlockShortcut = "pad" if self.shortcut == "pad" else "projection"
        for stage, count in enumerate(self.blocks):
            inner, outputs = self.inner_width(stage), self.planes(stage) * self.expansion
            dilated = stage > 0 and bool(self.dilation) and self.dilation[stage - 1]
            stride = 1 if stage == 0 or dilated else 2
            extra = self.extra_projections[stage] if self.extra_projections else ()
            for position in range(count):
                changes = stride != 1 or inputs != outputs
                shortcut: BlockShortcut = "none" if self.is_plain else "identity"
                if not self.is_plain and (changes or position in extra or self.shortcut == "projection_all"):
                    shortcut = padded_or_projected
                place, channels = (stage + 1, position), (inputs, inner, outputs)
                shapes.append(BlockShape(*place, *channels, stride, dilation, self.groups, shortcut))
                inputs, stride = outputs, 1
                if dilated and position == 0:
                    dilation *= 2  # as torchvision: the first block keeps the earlier dilation
        return shapes

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Values that are possible by themselves and not with each other."""
        stages, extra = len(self.blocks), self.extra_projections
        if self.block not in BLOCKS:
            raise ValueError(f"block is {short(self.block)}; it may be {', '.join(map(str, BLOCKS))}")
        if (total := sum(self.blocks)) > MAX_BLOCKS:
            said = f"{total:,}" if total < 10**12 else "more than a net can have"
            raise ValueError(
                f"blocks adds up to {said}; it may be up to {MAX_BLOCKS:,} (three times resnet1202), as a page cannot "
                "show more"
            )
        if len(self.dilation) not in (0, stages - 1):
            raise ValueError(
                f"dilation is {short(self.dilation)}; it is empty or has one true/false for each of the "
                f"{stages - 1} stages after the first"
            )
        if len(extra) not in (0, stages):
            raise ValueError(
                f"extra_projections is {short(extra)}; it has one tuple for each of {stages} stages"
            )
        for stage, positions in enumerate(extra):
            if any(position >= self.blocks[stage] for position in positions):
                raise ValueError(
                    f"extra_projections has {short(positions)} for stage {stage + 1}; it may be positions from 0 to "
                    f"{self.blocks[stage] - 1}"
                )
        self._check_widths()
        return self

    def _check_widths(self) -> None:
        if self.block != (1, 3, 1) and (self.groups != 1 or self.width_per_group != 64 or any(self.dilation)):
            field = "dilation" if any(self.dilation) else "groups" if self.groups != 1 else "width_per_group"
            raise ValueError(
                f"{field} is {getattr(self, field)!r}; only the block (1, 3, 1) takes groups other than 1, "
                f"width_per_group other than 64, or dilation (this block is {self.block})"
            )
        for stage in range(len(self.blocks)):
            if self.inner_width(stage) < 1:
                raise ValueError(
                    f"width_per_group is {self.width_per_group}: stage {stage + 1} has no channel"
                )
            widest = max(self.inner_width(stage), self.planes(stage) * self.expansion)
            if widest > MAX_CHANNELS:
                raise ValueError(
                    f"width is {self.width}: a layer of stage {stage + 1} has {widest:,} channels; it may have up to "
                    f"{MAX_CHANNELS:,}"
                )
