"""What a trained net loses when blocks are taken out of it or change places (Veit et al. 2016, Sec. 4)."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import comb, prod

import torch
from torch import Tensor, nn

from resnet_lab.models import ResNet
from resnet_lab.models.blocks import Block, PadShortcut, PreActivationBlock

CHUNK = 250  # pictures that pass at once
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class BlockPlace:
    """A block's name ("layer1.0") and what a lesion can do with it: `changes_shape` blocks cannot be swapped."""

    name: str
    stage: int
    changes_shape: bool


@dataclass(frozen=True)
class Lesion:
    """Accuracy (0 to 1) of a net without the blocks `removed`, over `samples` pictures."""

    removed: tuple[str, ...]
    accuracy: float
    samples: int


class Removed(nn.Module):
    """What is left of a block without its residual function: the shortcut.

    An identity passes its input on (which is not negative after a ReLU, so the block's own ReLU changes nothing); a
    projection or padding stays. A plain block leaves nothing, so its input passes on, subsampled and padded as in
    option A where the next block wants another shape.
    """

    def __init__(self, block: Block, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block = block
        pad = PadShortcut(inputs, outputs, stride)
        self.shortcut = (
            pad if not block.has_shortcut and (stride != 1 or inputs != outputs) else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        block = self.block
        if not block.has_shortcut or block.downsample is None:
            return self.shortcut(x)
        if isinstance(block, PreActivationBlock):
            return block.downsample(block.activate(x))
        return block.last_relu(block.downsample(x))


def blocks(model: ResNet) -> list[BlockPlace]:
    """All blocks in forward order."""
    places = []
    for i, stage in enumerate(model.stages, 1):
        for j, block in enumerate(stage):
            inputs, outputs, stride = _shape(block)
            places.append(BlockPlace(f"layer{i}.{j}", i, inputs != outputs or stride != 1))
    return places


def _shape(block: nn.Module) -> tuple[int, int, int]:
    """Input channels, output channels and stride of a block."""
    convs = [m for name, m in block.named_children() if name.startswith("conv") and isinstance(m, nn.Conv2d)]
    return convs[0].in_channels, convs[-1].out_channels, prod(conv.stride[0] for conv in convs)


def lesioned(model: ResNet, removed: Collection[str] = (), swapped: Sequence[tuple[str, str]] = ()) -> ResNet:
    """A copy of `model` in eval mode without the blocks `removed`, and with each pair of `swapped` in exchanged places.

    Raises:
        ValueError: there is no such block, or a pair does not fit each other's place.
    """
    net = copy.deepcopy(model).eval()
    places = {place.name: place for place in blocks(net)}
    for name in [*removed, *(name for pair in swapped for name in pair)]:
        if name not in places:
            raise ValueError(f"there is no block {name!r}; the blocks are {', '.join(places)}")
    for first, second in swapped:
        a, b = places[first], places[second]
        if a.stage != b.stage or a.changes_shape or b.changes_shape:
            raise ValueError(
                f"{first} and {second} cannot change places; blocks of one stage can that keep the shape"
            )
        one, two = net.get_submodule(first), net.get_submodule(second)
        _put(net, first, two)
        _put(net, second, one)
    for name in removed:
        block = net.get_submodule(name)
        assert isinstance(block, Block)
        _put(net, name, Removed(block, *_shape(block)))
    return net


def _put(net: ResNet, name: str, module: nn.Module) -> None:
    stage, _, position = name.partition(".")
    net.get_submodule(stage)[int(position)] = module  # type: ignore[operator]


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Part of the pictures, float (N, 3, H, W), normalised, that `model` names rightly, 0 to 1."""
    right = sum(
        (model(x).argmax(1) == y).sum().item()
        for x, y in zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
    )
    return right / len(labels)


@torch.no_grad()
def remove_each(
    model: ResNet,
    images: Tensor,
    labels: Tensor,
    report: Callable[[Lesion], None],
    should_stop: ShouldStop = lambda: False,
) -> None:
    """Reports the accuracy without each block in turn, from the last block to the first.

    What enters a block does not depend on the blocks behind it. So the inputs of all blocks are kept from one
    pass (resnet56, 1,000 pictures: 1 GB), and without block i only the layers from i on are computed: half the work.
    """
    net = copy.deepcopy(model).eval()
    chain = _chain(net)
    chunks = list(zip(images.split(CHUNK), labels.split(CHUNK), strict=True))
    inputs = [_inputs(net, chain, x) for x, _ in chunks]
    for i in reversed(range(len(chain))):
        if should_stop():
            return
        name, block = chain[i]
        substitute = Removed(block, *_shape(block))
        right = 0
        for kept, (_, y) in zip(inputs, chunks, strict=True):
            x = substitute(kept.pop())
            for _, later in chain[i + 1 :]:
                x = later(x)
            right += int((_head(net, x).argmax(1) == y).sum())
        report(Lesion((name,), right / len(labels), len(labels)))


@dataclass(frozen=True)
class Series:
    """For each of `counts`, `draws` random sets of so many blocks; nets of equally many blocks get the same sets."""

    counts: tuple[int, ...]
    draws: int = 3
    seed: int = 0

    def sets(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The sets of `names`, each in their order.

        Raises:
            ValueError: there are fewer names than are to be drawn.
        """
        if max(self.counts, default=0) > len(names):
            raise ValueError(f"{max(self.counts)} blocks are to be removed, and the net has {len(names)}")
        chance = random.Random(self.seed)
        for count in self.counts:
            for _ in range(self.draws):
                yield tuple(names[i] for i in sorted(chance.sample(range(len(names)), count)))


def remove_random(
    model: ResNet,
    images: Tensor,
    labels: Tensor,
    series: Series,
    report: Callable[[Lesion], None],
    should_stop: ShouldStop = lambda: False,
) -> None:
    """Reports the accuracy without each set of blocks of `series`.

    Raises:
        ValueError: the net has fewer blocks than are to be removed.
    """
    for removed in series.sets([place.name for place in blocks(model)]):
        if should_stop():
            return
        report(Lesion(removed, accuracy(lesioned(model, removed), images, labels), len(labels)))


def path_lengths(count: int) -> list[int]:
    """How many paths of each length 0 to `count` lead through that many blocks with shortcuts.

    Each block is passed or skipped, so the lengths are binomial; 2^count paths in all (Veit et al. 2016, Sec. 3).
    """
    return [comb(count, length) for length in range(count + 1)]


def _chain(net: ResNet) -> list[tuple[str, Block]]:
    return [(place.name, net.get_submodule(place.name)) for place in blocks(net)]  # type: ignore[misc]


def _inputs(net: ResNet, chain: Sequence[tuple[str, Block]], x: Tensor) -> list[Tensor]:
    """What enters each block."""
    x, kept = net.stem(x), []
    for _, block in chain:
        kept.append(x)
        x = block(x)
    return kept


def _head(net: ResNet, x: Tensor) -> Tensor:
    """From the last block's output to the logits."""
    if net.spec.preactivation:
        x = net.relu_last(net.bn_last(x))
    return net.fc(net.avgpool(x).flatten(1))
