"""What a residual net is made of, as data: `ModelSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from resnet_lab.schema import Record, about, record

Shortcut = Literal["pad", "projection", "projection_all", "none"]
BlockShortcut = Literal["identity", "pad", "projection", "none"]
Stem = Literal["imagenet", "cifar", "deep", "tutorial"]
Norm = Literal["batch", "group", "none"]
Join = Literal["sum", "exclusive_gate", "shortcut_gate", "dropout", "stochastic_depth"]

BLOCKS = ((3, 3), (1, 3, 1), (3, 1), (1, 3), (3, 1, 1), (3, 1, 3))
MAX_BLOCKS = 2_000  # resnet1202 has 600
MAX_CHANNELS = 2**20  # of a layer; beyond it a convolution has more weights than torch can count
Width = Annotated[int, about(ge=1, le=4096)]
Scales = Annotated[
    tuple[Annotated[float, about(ge=0, le=2)], ...],
    BeforeValidator(lambda v: (v,) if isinstance(v, int | float) and not isinstance(v, bool) else v),
]
# What a plain net has of all that is about shortcuts; two nets that differ in nothing else can race.
PLAIN: dict[str, Any] = {
    "shortcut": "none", "extra_projections": (), "shortcut_scale": (1.0,), "residual_scale": (1.0,),
    "learned_scale": False, "join": "sum",
}  # fmt: skip


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
    shortcut_scale: float  # α and β in y = β·F(x) + α·s(x)
    residual_scale: float
    drop_rate: float

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
    shortcut_scale: Annotated[
        Scales,
        about(
            "α in y = β·F(x) + α·s(x): 1 for a residual net, 0 for the function of a plain one. One number, or one for "
            "each stage or block.",
            title="Shortcut scale α",
            min_length=1,
            max_length=MAX_BLOCKS,
        ),
    ] = (1.0,)
    residual_scale: Annotated[
        Scales,
        about(
            "β in y = β·F(x) + α·s(x). One number, or one for each stage or block.",
            title="Residual scale β",
            min_length=1,
            max_length=MAX_BLOCKS,
        ),
    ] = (1.0,)
    learned_scale: Annotated[
        bool,
        about(
            "β is learned, one number a block, and starts at its scale: at 0 in ReZero (Bachlechner et al. 2021) and "
            "SkipInit (De and Smith 2020).",
            title="Learned β",
        ),
    ] = False
    join: Annotated[
        Join,
        about(
            "What joins F(x) and the shortcut. With g = σ(W_g x + b_g), a 1×1 convolution on every shortcut, padded "
            "ones too: exclusive_gate: g·F + (1 − g)·s; shortcut_gate: F + (1 − g)·s; dropout: on the shortcut (He et "
            "al. 2016, Fig. 2); stochastic_depth: F is left out at random (Huang et al. 2016)."
        ),
    ] = "sum"
    gate_bias: Annotated[float, about("b_g at the start, of a gate.", ge=-20, le=20)] = -6.0
    drop_rate: Annotated[
        float,
        about(
            "Of dropout: of the values on the shortcut. Of stochastic depth: of the last block; it grows linearly from "
            "the first.",
            ge=0,
            le=0.95,
        ),
    ] = 0.5

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
        shapes: list[BlockShape] = []
        inputs, dilation = self.width, 1
        padded_or_projected: BlockShortcut = "pad" if self.shortcut == "pad" else "projection"
        alphas, betas = self._of_blocks(self.shortcut_scale), self._of_blocks(self.residual_scale)
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
                i = len(shapes)
                rate = self.drop_rate * ((i + 1) / len(alphas) if self.join == "stochastic_depth" else 1)
                join = (alphas[i], betas[i], rate)
                shapes.append(BlockShape(*place, *channels, stride, dilation, self.groups, shortcut, *join))
                inputs, stride = outputs, 1
                if dilated and position == 0:
                    dilation *= 2  # as torchvision: the first block keeps the earlier dilation
        return shapes

    def _of_blocks(self, scales: tuple[float, ...]) -> tuple[float, ...]:
        """Of each block, where they are given once, by stage or by block."""
        if len(scales) == len(self.blocks):
            scales = tuple(scale for scale, n in zip(scales, self.blocks, strict=True) for _ in range(n))
        return scales * sum(self.blocks) if len(scales) == 1 else scales

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
        self._check_joins()
        return self

    def _check_joins(self) -> None:
        """Also brings the scales into their shortest form, so that nets that are alike are equal."""
        stages, total = len(self.blocks), sum(self.blocks)
        for field in ("shortcut_scale", "residual_scale"):
            scales = getattr(self, field)
            if len(scales) not in (1, stages, total):
                raise ValueError(
                    f"{field} has {len(scales):,} numbers; it has one, one for each of {stages} stages, or one for "
                    f"each of {total:,} blocks"
                )
            of_blocks = self._of_blocks(scales)
            starts = [sum(self.blocks[:stage]) for stage in range(stages)]
            for form in (of_blocks[:1], tuple(of_blocks[start] for start in starts)):
                if self._of_blocks(form) == of_blocks:
                    object.__setattr__(self, field, form)
                    break
        for field, usual in PLAIN.items():
            if self.is_plain and field != "extra_projections" and getattr(self, field) != usual:
                raise ValueError(
                    f"{field} is {short(getattr(self, field))}; a plain net has no shortcut to weigh or to gate"
                )

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
