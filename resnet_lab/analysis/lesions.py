"""What a trained net loses when blocks are taken out of it or change places (Veit et al. 2016, Sec. 4)."""

from __future__ import annotations

import copy
import random
from collections.abc import Collection, Iterator, Sequence
from math import comb

import torch
from torch import Tensor, nn

from resnet_lab.analysis.records import Lesion
from resnet_lab.models import ResNet
from resnet_lab.models.blocks import Block, PadShortcut
from resnet_lab.models.spec import BlockShape

CPU_PIXELS = 50 * 32 * 32  # that pass at once: 250 images no longer fit the caches, and take twice as long
GPU_PIXELS = 500 * 32 * 32
BUDGET = 2**28  # bytes of kept block inputs


def without_residual(block: Block, shape: BlockShape, preactivation: bool) -> nn.Sequential:
    """What is left of a block without its residual function: the shortcut.

    The ReLU behind the addition stays too; after an identity it changes nothing, as its input comes from a ReLU (but
    in the tutorial's net, whose stem has none). A plain block leaves nothing, so its input passes on, subsampled and
    padded as in option A where the next block wants another shape; a block whose α is 0 has a plain one's function.
    """
    layers: list[nn.Module] = []
    is_plain = block.plain or shape.shortcut_scale == 0
    if block.join is not None and not is_plain:
        return nn.Sequential(ShortcutAlone(block, preactivation))
    if block.downsample is not None and not is_plain:
        layers = [block.bn1, block.relu1, block.downsample] if preactivation else [block.downsample]
    if is_plain and shape.changes_shape:
        layers = [PadShortcut(shape.inputs, shape.outputs, shape.stride)]
    if not is_plain and not preactivation:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class ShortcutAlone(nn.Module):
    """What a block's join makes of the shortcut where F(x) is 0."""

    def __init__(self, block: Block, preactivation: bool) -> None:
        super().__init__()
        self.block, self.preactivation = block, preactivation

    def forward(self, x: Tensor) -> Tensor:
        block, shortcut = self.block, x
        if block.downsample is not None:
            shortcut = block.downsample(block.relu1(block.bn1(x)) if self.preactivation else x)
        assert block.join is not None
        y = block.join(torch.zeros_like(shortcut), shortcut, x)
        return y if self.preactivation else torch.relu(y)


def lesioned(model: ResNet, removed: Collection[str] = (), swapped: Sequence[tuple[str, str]] = ()) -> ResNet:
    """A copy of `model` in eval mode without the blocks `removed`, and with each pair of `swapped` in exchanged places.

    Raises:
        ValueError: there is no such block, or a pair does not fit each other's place.
    """
    net = _working_copy(model)
    for place, block in zip(net.spec.block_shapes(), _operated(net, removed, swapped), strict=True):
        net.set_submodule(place.name, block)
    return net


def _operated(net: ResNet, removed: Collection[str], swapped: Sequence[tuple[str, str]]) -> list[nn.Module]:
    """The blocks in forward order after the lesion; `net` stays as it is."""
    places = {place.name: place for place in net.spec.block_shapes()}
    for name in [*removed, *(name for pair in swapped for name in pair)]:
        if name not in places:
            raise ValueError(f"there is no block {name!r}; the blocks are {', '.join(places)}")
    chain = _chain(net)
    for first, second in swapped:
        a, b = places[first], places[second]
        if a.stage != b.stage or a.changes_shape or b.changes_shape:
            raise ValueError(
                f"{first} and {second} cannot change places; blocks of one stage can that keep the shape"
            )
        chain[first], chain[second] = chain[second], chain[first]
    for name in dict.fromkeys(removed):
        block = chain[name]
        assert isinstance(block, Block)
        chain[name] = without_residual(block, places[name], net.spec.preactivation)
    return list(chain.values())


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Part of the images, float (N, 3, H, W), normalised, that `model` names rightly, 0 to 1."""
    return _right(torch.cat([model(x) for x in _batches(images)]), labels)


def _working_copy(model: ResNet) -> ResNet:
    return copy.deepcopy(model).eval().to(memory_format=torch.channels_last)  # twice as fast on a CPU


def _batches(images: Tensor) -> list[Tensor]:
    pixels = CPU_PIXELS if images.device.type == "cpu" else GPU_PIXELS
    parts = images.split(max(1, pixels // images[0, 0].numel()))
    return [x.contiguous(memory_format=torch.channels_last) for x in parts]


def _right(logits: Tensor, labels: Tensor) -> float:
    return int((logits.argmax(1) == labels).sum()) / len(labels)


class Prepared:
    """The net called `name` and the images, float (N, 3, H, W), normalised, that it is judged by; on one device.

    What enters a block does not depend on the blocks behind it. So the inputs of every m-th block are kept from one
    pass, and a lesion is computed from the last of them on that lies before it; m is the smallest for which they
    take `budget` bytes at most (1,000 images of 32 × 32 in resnet56: 1.1 GB for all blocks, so m = 5). The net is
    copied, and nothing is changed in it: several threads may ask at once.
    """

    @torch.no_grad()
    def __init__(
        self, model: ResNet, images: Tensor, labels: Tensor, budget: int = BUDGET, name: str = ""
    ) -> None:
        self.name = name
        self.net = _working_copy(model)
        self.places = tuple(self.net.spec.block_shapes())
        self.labels = labels
        self._images = _batches(images)
        self._blocks = list(_chain(self.net).values())
        self._kept_at = self._choose(images[:1], budget // len(images))
        self._kept = [self._inputs(x, self._kept_at) for x in self._images]
        self.whole = self.without(())

    @torch.no_grad()
    def logits(self, removed: Collection[str] = (), swapped: Sequence[tuple[str, str]] = ()) -> Tensor:
        """Of the net without the blocks `removed`, each pair of `swapped` in exchanged places: (N, classes).

        Raises:
            ValueError: there is no such block, or a pair does not fit each other's place.
        """
        after = _operated(self.net, removed, swapped)
        pairs = zip(self._blocks, after, strict=True)
        touched = next((i for i, (old, new) in enumerate(pairs) if old is not new), len(after))
        start = max((i for i in self._kept_at if i <= touched), default=0)
        found = []
        for images, kept in zip(self._images, self._kept, strict=True):
            x = kept[start] if start else self.net.stem(images)
            for block in after[start:]:
                x = block(x)
            found.append(self.net.head(x))
        return torch.cat(found)

    def accuracy(self, removed: Collection[str] = (), swapped: Sequence[tuple[str, str]] = ()) -> float:
        """Part of the images that this net names rightly, 0 to 1; raises as `logits` does."""
        return _right(self.logits(removed, swapped), self.labels)

    def without(self, removed: tuple[str, ...]) -> Lesion:
        """What is left without the blocks `removed`; raises as `logits` does."""
        changes = any(place.changes_shape for place in self.places if place.name in removed)
        accuracy, plain = self.accuracy(removed), self.net.spec.is_plain
        return Lesion(self.name, plain, removed, accuracy, len(self.labels), changes)

    @property
    def kept_bytes(self) -> int:
        return sum(x.nbytes for kept in self._kept for x in kept.values())

    def _choose(self, image: Tensor, budget: int) -> tuple[int, ...]:
        """The blocks whose inputs are kept, `budget` bytes an image; before the first there is the image itself."""
        count = len(self._blocks)
        sizes = [x.nbytes for x in self._inputs(image, range(count)).values()]
        steps = (range(every, count, every) for every in range(1, count + 1))
        return tuple(next(at for at in steps if sum(sizes[i] for i in at) <= budget))

    def _inputs(self, images: Tensor, wanted: Collection[int]) -> dict[int, Tensor]:
        """What enters the blocks `wanted`."""
        x, kept = self.net.stem(images), {}
        for i, block in enumerate(self._blocks[: max(wanted, default=-1) + 1]):
            if i in wanted:
                kept[i] = x
            x = block(x)
        return kept


def remove_each(prepared: Prepared) -> Iterator[Lesion]:
    """The accuracy without each block in turn, from the last block, which is the quickest, to the first."""
    for place in reversed(prepared.places):
        yield prepared.without((place.name,))


def remove_random(
    prepared: Prepared, counts: Sequence[int], draws: int = 3, seed: int = 0
) -> Iterator[Lesion]:
    """The accuracy without each of `draws` random sets of so many blocks, for each of `counts`.

    Nets of equally many blocks lose the same sets.

    Raises:
        ValueError: the net has fewer blocks than are to be removed.
    """
    names = [place.name for place in prepared.places]
    if max(counts, default=0) > len(names):
        raise ValueError(f"{max(counts)} blocks are to be removed, and the net has {len(names)}")
    chance = random.Random(seed)
    for count in counts:
        for _ in range(draws):
            removed = sorted(chance.sample(range(len(names)), count))
            yield prepared.without(tuple(names[i] for i in removed))


def coarse_first(n: int) -> tuple[int, ...]:
    """1 to n, first every 2^i-th of them, then those between, so that a line shows its course early."""
    steps = [2**i for i in reversed(range(max(1, (n - 1).bit_length() - 1)))]
    return tuple(dict.fromkeys(count for step in steps for count in range(1, n + 1, step)))


def path_lengths(count: int) -> list[int]:
    """How many paths of each length 0 to `count` lead through that many blocks with shortcuts.

    Each block is passed or skipped, so the lengths are binomial; 2^count paths in all (Veit et al. 2016, Sec. 3).
    """
    return [comb(count, length) for length in range(count + 1)]


def _chain(net: ResNet) -> dict[str, nn.Module]:
    return {place.name: net.get_submodule(place.name) for place in net.spec.block_shapes()}
