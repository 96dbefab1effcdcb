"""Do maps depend on what the net has learned? The check with randomised weights (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_lab.attribution.layers import stage_names
from resnet_lab.attribution.localization import Estimate, bootstrap
from resnet_lab.attribution.methods import attribute
from resnet_lab.attribution.preserve_state import preserve_state
from resnet_lab.models import ResNet, init_model

TRUSTED = 0.5  # a map that correlates more than this with the one of a random net says little of the net
BATCH = 50  # images at once
SEED = 1_000_003  # not a run's own, whose first weights it would draw again


@dataclass(frozen=True)
class Similarity:
    """How much the maps of a method stay the same when the net's parts from the head down to `part` are random.

    `correlation` is Spearman's, of the pixels of an image's two maps, mean over images.
    """

    method: str
    part: str
    correlation: Estimate


def parts_of(model: ResNet) -> tuple[str, ...]:
    """What is randomised, in order: the head, the stages from the last to the first, the stem."""
    return ("head", *reversed(stage_names(model)), "stem")


def randomised(model: ResNet, seed: int = SEED) -> Iterator[tuple[str, ResNet]]:
    """The net with its head drawn anew, then its last stage too, and so on down to the stem (Adebayo et al. 2018,
    Sec. 3.1, "cascading"). One copy that changes; `model` stays as it is.
    """
    with preserve_state(model):  # or the copy would have the hooks of another thread
        net = copy.deepcopy(model)
    state = net.state_dict()  # the net's own tensors
    spec = model.spec.replace(zero_init_residual=False)  # blocks that add nothing would not be random
    fresh = init_model(spec, seed, model.fc.out_features).state_dict()
    stages = stage_names(model)
    for part in parts_of(model):
        for name, value in state.items():
            first = name.split(".")[0]
            if _part(first, stages) == part:
                value.copy_(fresh[name])
        yield part, net


def _part(module: str, stages: tuple[str, ...]) -> str:
    """Which part a child of the net belongs to."""
    if module in stages:
        return module
    return "head" if module in ("fc", "bn_last") else "stem"


def check(
    model: ResNet,
    images: Tensor,
    methods: list[str],
    report: Callable[[Similarity], None],
    on_pass: Callable[[], None] | None = None,
) -> None:
    """Reports each method's similarity for each part, for the classes that the trained net predicts.

    `images` float (N, 3, H, W), normalised, on the model's device. Methods with a layer are read at the last stage.
    `on_pass` as in `attribute`; what it raises ends the work.
    """
    with preserve_state(model), torch.no_grad():
        classes = torch.cat([model(x).argmax(1) for x in images.split(BATCH)])

    def maps(net: ResNet, method: str) -> Tensor:
        pairs = zip(images.split(BATCH), classes.split(BATCH), strict=True)
        return torch.cat([attribute(net, x, y, method, on_pass=on_pass).cpu() for x, y in pairs])

    trained = {method: maps(model, method) for method in methods}
    for part, net in randomised(model):
        for method in methods:
            found = rank_correlation(trained[method], maps(net, method))
            report(Similarity(method, part, bootstrap(found)))


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's, of the pixels of each pair of maps (N, H, W); (N,). Equal values share their mean rank; a map that
    is the same everywhere says nothing, and correlates with none: 0.
    """
    a, b = (torch.stack([_ranks(one.flatten()) for one in maps.double()]) for maps in (first, second))
    a, b = (ranks - ranks.mean(dim=1, keepdim=True) for ranks in (a, b))
    lengths = a.norm(dim=1) * b.norm(dim=1)
    return ((a * b).sum(dim=1) / lengths.where(lengths > 0, 1)).float()


def _ranks(values: Tensor) -> Tensor:
    """0 to n - 1, mean ranks for ties."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts + 1) / 2)[place]


def suspects(found: Iterable[Similarity]) -> list[str]:
    """The methods whose maps stayed when all weights, down to the stem, were random."""
    return [s.method for s in found if s.part == "stem" and s.correlation.mean >= TRUSTED]
