"""Nets that race each other: one recipe, one seed, the same batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from resnet_lab.models import get_spec
from resnet_lab.models.cifar import cifar_net, weighed_net
from resnet_lab.models.spec import PLAIN, ModelSpec
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.recipes import RECIPES

DEEP = 44  # layers; beyond them the smaller learning rate
MOST_NETS = 60


def race(
    depths: Sequence[int], kinds: Sequence[str], dataset: str = "shapes", seeds: Sequence[int] = (0,)
) -> list[list[TrainConfig]]:
    """Groups of nets that are to take turns: in each the kinds of one depth and one seed.

    All have one recipe, that of the deepest net, so that depths can be compared too. It is computed in float32
    throughout: in bfloat16 the gradients of deep plain nets point elsewhere (docs/decisions/auto.md), and the race
    is about shortcuts alone.

    Raises:
        ValueError: a depth or a kind that cannot be, none of them, or too many nets.
    """
    return _groups(cifar_net, depths, kinds, dataset, seeds)


def sweep(
    depths: Sequence[int], scales: Sequence[float], dataset: str = "shapes", seeds: Sequence[int] = (0,)
) -> list[list[TrainConfig]]:
    """As `race`, between nets of option A whose shortcuts are weighed with each of `scales`, α."""
    return _groups(weighed_net, depths, scales, dataset, seeds)


def _groups(
    net: Callable[[int, Any], ModelSpec],
    depths: Sequence[int],
    kinds: Sequence[Any],
    dataset: str,
    seeds: Sequence[int],
) -> list[list[TrainConfig]]:
    if not depths or not kinds or not seeds:
        raise ValueError("a race needs at least one depth, one kind of shortcuts and one seed")
    nets = len(set(depths)) * len(set(kinds)) * len(set(seeds))
    if nets > MOST_NETS:
        raise ValueError(f"that is {nets:,} nets; a race may have up to {MOST_NETS}")
    base = race_recipe(max(depths), dataset)
    return [
        [base.replace(variant=net(depth, kind), seed=seed) for kind in dict.fromkeys(kinds)]
        for seed in dict.fromkeys(seeds)
        for depth in dict.fromkeys(depths)
    ]


def race_recipe(deepest: int, dataset: str) -> TrainConfig:
    """The settings that showed the difference best on `shapes` (docs/performance.md)."""
    base = RECIPES["race-56" if deepest > DEEP else "race-32"].replace(dataset=dataset)
    return base if dataset == "shapes" else base.replace(epochs=4)  # five times as many images


def differences(configs: Sequence[TrainConfig]) -> list[str]:
    """What besides the shortcuts is not the same in all of them: "lr: 0.05, 0.03"; [] for a fair comparison."""
    if not configs:
        return []
    found = []
    for name in (f.name for f in dataclasses.fields(TrainConfig)):
        if name != "variant":
            found += _differing(name, [getattr(config, name) for config in configs])
    specs = [get_spec(config.variant) for config in configs]
    for name in (f.name for f in dataclasses.fields(specs[0])):
        if name not in {*PLAIN, "name", "preactivation", "gate_bias", "drop_rate"} - {"extra_projections"}:
            found += _differing(name, [getattr(spec, name) for spec in specs])
    return found


def _differing(name: str, values: Sequence[Any]) -> list[str]:
    different = list(dict.fromkeys(map(str, values)))
    return [f"{name}: {', '.join(different)}"] if len(different) > 1 else []
