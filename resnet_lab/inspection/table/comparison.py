"""Nets beside each other: which ones are worth it, and how they differ from stage to stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_lab.inspection.table.records import LayerRow, LayerTable
from resnet_lab.inspection.table.rollup import rollup
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.spec import PLAIN
from resnet_lab.schema import fields_of

LONGEST = fields_of(ModelSpec)["name"].longest or 0  # letters of a name

OPTIONS = {"pad": "option A", "projection": "option B", "projection_all": "option C"}
FAMILY = {  # variants that differ in one idea, at about equal cost or depth
    "resnet50": ("resnext50_32x4d", "wide_resnet50_2"),
    "resnet101": ("resnext101_32x8d", "wide_resnet101_2"),
    "resnet110": ("preact_resnet110", "preact_resnet164"),
}


def twin_of(spec: ModelSpec) -> ModelSpec:
    """The plain twin of a residual net, or the residual one of a plain net; a named variant where there is one.

    A plain net gains the shortcuts of its family: option A for CIFAR nets, else option B.
    """
    if spec.is_plain:
        twin = spec.replace(shortcut="pad" if spec.stem == "cifar" else "projection")
    else:
        twin = spec.replace(**PLAIN)
    return _named(twin, f"{spec.name} {'with' if spec.is_plain else 'without'} shortcuts")


def neighbours(spec: ModelSpec) -> dict[str, ModelSpec]:
    """Nets that differ from `spec` in one idea, by name; the first is its twin.

    The other shortcut options (He et al. 2015, Table 3), the same blocks of the other kind (Basic against
    Bottleneck, at about the same MACs: Sec. 4.1), and the ResNeXt, Wide or pre-activation net of its depth.
    """
    found = [twin_of(spec)]
    if not spec.is_plain:
        for shortcut, option in OPTIONS.items():
            if shortcut != spec.shortcut:
                found.append(_named(spec.replace(shortcut=shortcut), f"{spec.name} {option}"))
    narrow = spec.groups == 1 and spec.width_per_group == 64 and not any(spec.dilation)
    if spec.block == (3, 3):
        found.append(_named(spec.replace(block=(1, 3, 1)), f"{spec.name} of Bottlenecks"))
    elif spec.block == (1, 3, 1) and narrow:
        found.append(_named(spec.replace(block=(3, 3)), f"{spec.name} of Basic blocks"))
    family = [VARIANTS[name].replace(num_classes=spec.num_classes) for name in FAMILY.get(spec.name, ())]
    return {each.name: each for each in [*found, *family]}


def _named(spec: ModelSpec, otherwise: str) -> ModelSpec:
    """`spec` under the name of the variant that it is, or else this one."""
    for variant in VARIANTS.values():
        if variant == spec.replace(name=variant.name, num_classes=variant.num_classes):
            return spec.replace(name=variant.name)
    return spec.replace(name=otherwise[-LONGEST:])  # its end tells it from the net beside it


@dataclass(frozen=True)
class StageRows:
    """The stem, a stage or the head of several nets; None where a net has no such stage."""

    path: str
    rows: tuple[LayerRow | None, ...]


def by_stage(tables: Sequence[LayerTable]) -> list[StageRows]:
    parts = [{row.path: row for row in rollup(table, "stages")} for table in tables]
    paths = dict.fromkeys(path for rows in parts for path in rows)
    order = sorted(paths, key=lambda path: (path == "head", path != "stem", path))
    return [StageRows(path, tuple(rows.get(path) for rows in parts)) for path in order]
