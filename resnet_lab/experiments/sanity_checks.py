"""Do maps depend on what the net has learned (Adebayo et al. 2018)?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from resnet_lab.attribution import METHODS, attribute, preserve_state, stage_names
from resnet_lab.attribution.records import MapSimilarity
from resnet_lab.experiments.localization import bootstrap
from resnet_lab.figures.attribution import similarity_figure
from resnet_lab.figures.page import Chart
from resnet_lab.models import ResNet, init_model
from resnet_lab.models.classifier import Classifier

TRUSTED = 0.5  # a map that correlates more than this with the one of a random net says little of the net
BATCH = 50  # images at once
SEED = 1_000_003  # not a run's own, whose first weights it would draw again


def parts_of(model: ResNet) -> tuple[str, ...]:
    """What is randomised, in order: the head, the stages from the last to the first, the stem."""
    return ("head", *reversed(stage_names(model)), "stem")


def randomised(model: ResNet) -> Iterator[tuple[str, ResNet]]:
    """The net with its head drawn anew, then its last stage too, and so on down to the stem (Adebayo et al. 2018,
    Sec. 3.1, "cascading"). One copy that changes; `model` stays as it is.
    """
    with preserve_state(model):  # or the copy would have the hooks of another thread
        net = copy.deepcopy(model)
    state = net.state_dict()  # the net's own tensors
    spec = model.spec.replace(zero_init_residual=False)  # blocks that add nothing would not be random
    fresh = init_model(spec, SEED, model.fc.out_features).state_dict()
    part_of = {name: name for name in stage_names(model)} | {"fc": "head", "bn_last": "head"}
    for part in parts_of(model):
        for name, value in state.items():
            if part_of.get(name.split(".")[0], "stem") == part:
                value.copy_(fresh[name])
        yield part, net


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


def measure(
    net: Classifier, images: Tensor, methods: Sequence[str], on_pass: Callable[[], None] | None = None
) -> Iterator[MapSimilarity]:
    """Each method's similarity when the parts of the net, from the head down to the stem, are drawn anew, for the
    classes that the trained net predicts.

    `images` uint8 (N, 3, H, W). Methods with a layer read the last stage. `on_pass` as in `attribute`; what it raises
    ends the work.
    """
    batches = net.inputs(images).split(BATCH)
    with preserve_state(net.model), torch.no_grad():
        classes = [net.model(x).argmax(1) for x in batches]

    def maps(model: torch.nn.Module, method: str) -> Tensor:
        pairs = zip(batches, classes, strict=True)
        return torch.cat([attribute(model, x, y, method, on_pass=on_pass).cpu() for x, y in pairs])

    trained = {method: maps(net.model, method) for method in methods}
    for part, random_net in randomised(net.model):
        for method in methods:
            found = rank_correlation(trained[method], maps(random_net, method))
            yield MapSimilarity(METHODS[method].title, part, bootstrap(found), len(images))


def suspects(found: Iterable[MapSimilarity]) -> list[str]:
    """The methods whose maps stayed when all weights, down to the stem, were random."""
    return [each.method for each in found if each.part == "stem" and each.correlation.mean >= TRUSTED]


def chart(found: Sequence[MapSimilarity], parts: Sequence[str], dark: bool = False) -> Chart:
    """A line a method, through the parts in their order."""
    caption = (
        f"Spearman's rank correlation of the maps' positive parts, mean over {found[0].count} images and 95 % "
        f"interval; methods with a layer read the last stage. Above the dashed line ({TRUSTED}) at the right end, a "
        "map says little of what was learned."
    )
    return Chart(similarity_figure(found, parts, TRUSTED, dark), caption)


def warning(found: Sequence[MapSimilarity]) -> str:
    """Which methods not to trust, in words; "" where all may be."""
    if not (doubtful := suspects(found)):
        return ""
    return (
        f"Not to be trusted here: {', '.join(doubtful)}. With all weights random the maps still correlate by "
        f"{TRUSTED} or more, so they show the image more than the net."
    )
