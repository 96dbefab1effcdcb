"""Nets that race each other: one recipe, one seed, the same batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from resnet_lab.data import DATASETS
from resnet_lab.models.cifar import DEPTHS, KINDS, cifar_net, weighed_net
from resnet_lab.models.spec import PLAIN, ModelSpec
from resnet_lab.schema import Record, about, record
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


@record
class RaceSettings(Record):
    what: ClassVar[str] = "a race"
    depths: Annotated[
        tuple[int, ...],
        about("6n + 2, as in the paper; others than these can be typed.", title="Layers", examples=DEPTHS),
    ] = (32,)
    shortcuts: Annotated[
        tuple[str, ...],
        about(
            "A: identity, zero-padded where channels grow. B: 1×1 convolutions there. C: everywhere. "
            "Pre-activation: norm and ReLU before each convolution.",
            examples=tuple(KINDS),
        ),
    ] = ("plain", "A")
    dataset: Annotated[str, about(title="Data", examples=tuple(DATASETS))] = "shapes"
    seeds: Annotated[int, about("How many.", ge=1, le=MOST_NETS)] = 1
    epochs: Annotated[int | None, about("Times through the training set.", ge=1)] = None
    train_limit: Annotated[int | None, about("Images for training.", ge=1)] = None


def groups(settings: RaceSettings) -> list[list[TrainConfig]]:
    """
    Raises:
        ValueError: a depth or a kind that cannot be, none of them, or too many nets.
    """
    nets = race(settings.depths, settings.shortcuts, settings.dataset, range(settings.seeds))
    return cut_short(nets, settings)


def cut_short(nets: list[list[TrainConfig]], settings: Record) -> list[list[TrainConfig]]:
    """With the epochs and the number of training images that `settings` ask for, if they do."""
    given = {name: getattr(settings, name) for name in ("epochs", "train_limit")}
    changes = {name: value for name, value in given.items() if value is not None}
    return [[config.replace(**changes) for config in group] for group in nets]


def race_recipe(deepest: int, dataset: str) -> TrainConfig:
    """The settings that showed the difference best on `shapes` (docs/performance.md)."""
    base = RECIPES["race-56" if deepest > DEEP else "race-32"].replace(dataset=dataset)
    return base if dataset == "shapes" else base.replace(epochs=4)  # five times as many images


# By shortcuts alone, whatever joins them.
MAY_DIFFER = {*PLAIN, "net", "preactivation", "gate_bias", "drop_rate"} - {"extra_projections"}


def differences(configs: Sequence[TrainConfig]) -> list[str]:
    """What besides the shortcuts is not the same in all of them: "lr: 0.05, 0.03"; [] for a fair comparison."""
    return [
        f"{name}: {', '.join(dict.fromkeys(map(str, values)))}"
        for name, values in differing(configs).items()
        if name not in MAY_DIFFER
    ]


def differing(configs: Sequence[TrainConfig]) -> dict[str, list[Any]]:
    """The settings that are not the same in all of them, each with the value that it has in each."""
    settings = [config.flat() for config in configs]
    values = {name: [each[name] for each in settings] for name in (settings[0] if settings else ())}
    return {name: of for name, of in values.items() if any(value != of[0] for value in of)}
