"""What a data set is, and how one is divided."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Progress = Callable[[float, str], None]  # (fraction done 0..1, what is going on)


class DatasetError(ValueError):
    """One sentence for the reader: what is wrong with the data, and what to do about it."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set, held whole in memory.

    `images` uint8 (N, 3, H, W); `labels` int64 (N,), an index into `classes`; `masks` bool (N, H, W), true on
    the object, where it is known. `mean` and `std` are those of the training split, per channel, for pixels
    in 0..1. `notes` say in whole sentences what was done to the images on the way.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    masks: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def subset(self, indices: Tensor) -> "Dataset":
        """The images at `indices`, int64 (M,), in that order; classes stay, even those left empty."""
        masks = None if self.masks is None else self.masks[indices]
        return replace(self, images=self.images[indices], labels=self.labels[indices], masks=masks)

    def to(self, device: torch.device | str) -> "Dataset":
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), masks=masks)


def balanced_order(labels: Tensor, seed: int) -> Tensor:
    """A shuffled order, int64 (N,), in which every prefix holds the classes as evenly as it can."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    of_class = labels.cpu()[shuffled]
    turn = torch.empty_like(shuffled)  # the how-manieth of its class each image is
    for label in of_class.unique():
        members = (of_class == label).nonzero().flatten()
        turn[members] = torch.arange(len(members))
    return shuffled[turn.argsort(stable=True)]


def split_validation(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split (train, validation) so that each class gives `fraction` of its images, at least one.

    The same seed gives the same split. Raises DatasetError if the fraction is not between 0 and 1 or a class
    has fewer than two images.
    """
    if not 0 < fraction < 1:
        raise DatasetError(
            f"The validation fraction is {fraction:g}; it must lie between 0 and 1, as 0.1 does."
        )
    labels = dataset.labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DatasetError(
                f"Class '{dataset.classes[int(label)]}' has only one image, so none can be held back for "
                "validation; add images to it."
            )
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        held_out[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    device = dataset.labels.device
    train, validation = (~held_out).nonzero().flatten(), held_out.nonzero().flatten()
    return dataset.subset(train.to(device)), dataset.subset(validation.to(device))
