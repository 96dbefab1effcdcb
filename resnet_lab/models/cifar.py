"""The CIFAR nets of He et al. 2015, Sec. 4.2, of any depth and with any shortcuts: what a race is run between."""

from __future__ import annotations

from functools import cache
from typing import Any

from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import VARIANTS

DEPTHS = (20, 32, 44, 56, 110)
KINDS: dict[str, dict[str, Any]] = {  # how the shortcuts of an option-A net are replaced
    "plain": {"shortcut": "none"},
    "A": {"shortcut": "pad"},
    "B": {"shortcut": "projection"},
    "C": {"shortcut": "projection_all"},
    "pre-activation": {"shortcut": "pad", "preactivation": True},
}
_NAMES = {"plain": "plain{}", "A": "resnet{}", "pre-activation": "preact_resnet{}"}


def cifar_net(depth: int, kind: str) -> ModelSpec:
    """The net of 6n + 2 layers with the shortcuts `kind`; a variant of the lab where it is one.

    Raises:
        ValueError: there is no net of this depth, or no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"shortcuts is {kind!r}; it may be {', '.join(KINDS)}")
    if depth < 8 or depth > 1202 or (depth - 2) % 6:
        raise ValueError(f"depth is {depth}; it may be 6n + 2 layers from 8 to 1,202, as 20, 32 or 56 are")
    name = _NAMES.get(kind, f"resnet{{}}-{kind}").format(depth)
    blocks = ((depth - 2) // 6,) * 3
    return VARIANTS.get(name) or VARIANTS["resnet20"].replace(name=name, blocks=blocks, **KINDS[kind])


def weighed_net(depth: int, scale: float) -> ModelSpec:
    """The net of option A whose shortcuts are all weighed with `scale`, α; at 1 the variant itself.

    Raises:
        ValueError: there is no net of this depth, or α may not be that.
    """
    net = cifar_net(depth, "A")
    return net if scale == 1 else net.replace(name=f"{net.name}-alpha{scale:g}", shortcut_scale=scale)


@cache
def family(spec: ModelSpec) -> tuple[int, str] | None:
    """The depth and kind of a net that `cifar_net` makes, whatever it is called; None for any other."""
    if len(set(spec.blocks)) != 1 or len(spec.blocks) != 3:
        return None
    depth = 6 * spec.blocks[0] + 2
    for kind in KINDS:
        if cifar_net(depth, kind).replace(name=spec.name, num_classes=spec.num_classes) == spec:
            return depth, kind
    return None
