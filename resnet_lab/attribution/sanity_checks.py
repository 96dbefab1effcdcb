"""Do maps depend on what the net has learned? The check with randomised weights (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from resnet_lab.attribution.layers import stage_names
from resnet_lab.attribution.preserve_state import preserve_state
from resnet_lab.models import ResNet, init_model

SEED = 1_000_003  # not a run's own, whose first weights it would draw again


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
