"""What a residual net is made of, as data: `ModelSpec`."""

from __future__ import annotations

import dataclasses
import json
import re
import reprlib
from dataclasses import dataclass
from typing import Any, Literal, get_args

Shortcut = Literal["pad", "projection", "projection_all", "none"]
Stem = Literal["imagenet", "cifar", "deep", "tutorial"]
Norm = Literal["batch", "group", "none"]

BLOCKS = ((3, 3), (1, 3, 1), (3, 1), (1, 3), (3, 1, 1), (3, 1, 3))
MAX_BLOCKS = 2_000  # resnet1202 has 600
MAX_NAME = 200
SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold them, UTF-8 cannot
MAX_WIDTH = 4_096
MAX_CLASSES = 100_000


@dataclass(frozen=True)
class ModelSpec:
    """One residual (or plain) net. Every field has a default, so a variant is one line.

    Args:
        name: what the screen calls it.
        block: kernel sizes of the convolutions in a block: (3, 3) is the BasicBlock and (1, 3, 1) the
            Bottleneck of He et al. 2015 (Fig. 5); the rest are those of Wide ResNet (Zagoruyko and
            Komodakis 2016, Sec. 2).
        blocks: blocks in each stage.
        width: channels of the first stage (before a Bottleneck's expansion by 4); doubles each stage.
        groups, width_per_group: as torchvision: a Bottleneck's inner width is
            int(planes · width_per_group / 64) · groups.
        shortcut: "pad" (option A: zero-padded identity), "projection" (B: 1×1 convolution where the shape
            changes), "projection_all" (C: everywhere), "none" (plain net).
        stem: "imagenet" (7×7/2, norm, ReLU, 3×3/2 max pool), "cifar" (3×3), "deep" (three 3×3),
            "tutorial" (7×7/2 then max pool, nothing between).
        preactivation: norm and ReLU before each convolution (He et al. 2016).
        zero_init_residual: the last norm of each block starts at weight 0 (Goyal et al. 2017, Sec. 5.1).
        dilation: for each stage after the first, whether dilation replaces its stride.
        norm: "batch", "group" (up to 32 groups; Wu and He 2018) or "none".
        num_classes: outputs of the head.
        conv_bias: convolutions with bias (the tutorial net).
        extra_projections: for each stage, block positions (from 0) that carry a projection although the
            shape does not change (the tutorial net).

    Raises:
        ValueError: naming the field, what it got and what it may be.
    """

    name: str = "custom"
    block: tuple[int, ...] = (3, 3)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    groups: int = 1
    width_per_group: int = 64
    shortcut: Shortcut = "projection"
    stem: Stem = "imagenet"
    preactivation: bool = False
    zero_init_residual: bool = False
    dilation: tuple[bool, ...] = ()
    norm: Norm = "batch"
    num_classes: int = 1000
    conv_bias: bool = False
    extra_projections: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_sizes()
        self._check_blocks()

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

    def replace(self, **changes: Any) -> ModelSpec:
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """The spec that `to_dict` (or its JSON) describes; fields left out keep their defaults.

        Raises:
            ValueError: for an unknown field or an impossible value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown field {unknown[0]!r}; a model spec has {', '.join(sorted(known))}")
        return cls(**{key: _as_tuple(value) for key, value in data.items()})

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"a model spec is a JSON object, this is not JSON: {error}") from None
        if not isinstance(data, dict):
            raise ValueError(f"a model spec is a JSON object, got {type(data).__name__}")
        return cls.from_dict(data)

    def _check_choices(self) -> None:
        choices = {"shortcut": get_args(Shortcut), "stem": get_args(Stem), "norm": get_args(Norm)}
        for field, allowed in choices.items():
            if (got := getattr(self, field)) not in allowed:
                raise ValueError(f"{field} is {reprlib.repr(got)}; it may be {', '.join(allowed)}")
        if not isinstance(self.name, str) or len(self.name) > MAX_NAME or SURROGATE.search(self.name):
            raise ValueError(f"name is {reprlib.repr(self.name)}; it may be text of up to {MAX_NAME} letters")
        for field in ("preactivation", "zero_init_residual", "conv_bias"):
            if not isinstance(got := getattr(self, field), bool):
                raise ValueError(f"{field} is {got!r}; it may be true or false")
        if self.block not in BLOCKS or not _is_tuple_of(int, self.block):
            raise ValueError(f"block is {reprlib.repr(self.block)}; it may be {', '.join(map(str, BLOCKS))}")

    def _check_sizes(self) -> None:
        _check_integer("width", self.width, 1, MAX_WIDTH)
        _check_integer("groups", self.groups, 1, MAX_WIDTH)
        _check_integer("width_per_group", self.width_per_group, 1, MAX_WIDTH)
        _check_integer("num_classes", self.num_classes, 1, MAX_CLASSES)
        if not isinstance(self.blocks, tuple) or not 1 <= len(self.blocks) <= 6:
            raise ValueError(
                f"blocks is {reprlib.repr(self.blocks)}; it is one count for each of 1 to 6 stages"
            )
        if not _is_tuple_of(int, self.blocks) or min(self.blocks) < 1:
            raise ValueError(f"blocks is {self.blocks!r}; each count is a whole number from 1")
        if sum(self.blocks) > MAX_BLOCKS:
            raise ValueError(
                f"blocks adds up to {sum(self.blocks):,}; it may be up to {MAX_BLOCKS:,} (three times resnet1202), "
                "as a page cannot show more"
            )

    def _check_blocks(self) -> None:
        stages = len(self.blocks)
        if not _is_tuple_of(bool, self.dilation) or len(self.dilation) not in (0, stages - 1):
            raise ValueError(
                f"dilation is {reprlib.repr(self.dilation)}; it is empty or has one true/false for each of the "
                f"{stages - 1} stages after the first"
            )
        extra = self.extra_projections
        if not _is_tuple_of(tuple, extra) or len(extra) not in (0, stages):
            raise ValueError(
                f"extra_projections is {reprlib.repr(extra)}; it has one tuple for each of {stages} stages"
            )
        for stage, positions in enumerate(extra):
            count = self.blocks[stage]
            if not _is_tuple_of(int, positions) or not all(0 <= p < count for p in positions):
                raise ValueError(
                    f"extra_projections has {reprlib.repr(positions)} for stage {stage + 1}; "
                    f"it may be positions from 0 to {count - 1}"
                )
        if self.block == (1, 3, 1):
            for stage in range(stages):
                if self.inner_width(stage) < 1:
                    raise ValueError(
                        f"width_per_group is {self.width_per_group}: stage {stage + 1} has no channel"
                    )
        elif self.groups != 1 or self.width_per_group != 64 or any(self.dilation):
            field = "dilation" if any(self.dilation) else "groups" if self.groups != 1 else "width_per_group"
            raise ValueError(
                f"{field} is {getattr(self, field)!r}; only the block (1, 3, 1) takes groups other than 1, "
                f"width_per_group other than 64, or dilation (this block is {self.block})"
            )


def _is_tuple_of(kind: type, value: Any) -> bool:
    return isinstance(value, tuple) and all(type(item) is kind for item in value)


def _check_integer(field: str, got: Any, low: int, high: int) -> None:
    if not isinstance(got, int) or isinstance(got, bool) or not low <= got <= high:
        raise ValueError(f"{field} is {reprlib.repr(got)}; it may be a whole number from {low:,} to {high:,}")


def _as_tuple(value: Any) -> Any:
    """JSON has no tuples: lists come back as tuples, at any depth."""
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value
