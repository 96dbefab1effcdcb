"""Weights into a net: from files, as others publish them, and torchvision's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from resnet_lab.models.create import create_model
from resnet_lab.models.files.state_dicts import FoundState, check_fit, find_state
from resnet_lab.models.files.weights_file import WeightsError, read_weights
from resnet_lab.models.resnet import ResNet
from resnet_lab.models.variants import IMAGENET_WEIGHTS

__all__ = ["WeightsError", "read_weights"]


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did: names as the model has them; `renamed` maps the file's name to the model's.

    `left_out` are the file's names of tensors beside the net's, such as a loss's class weights; `where` are the keys
    and the prefix under which the state dict lay, as in "state_dict_ema.module".
    """

    matched: tuple[str, ...]
    renamed: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    where: str = ""


def load_weights(model: nn.Module, path: str | Path) -> LoadReport:
    """Loads a file of torch.save or safetensors into `model`, all of it or nothing, whatever its suffix.

    The state dict may lie in dicts under any keys, its names may share any prefix ("module.", "model.backbone.", …),
    and "linear" is understood for "fc". No code in the file is ever run.

    Raises:
        WeightsError: the file is missing, cut short, no weights file, or fits another net; the model is
            then as it was.
    """
    path = Path(path)
    names = model.state_dict().keys()

    def find(content: Any) -> FoundState:
        found = find_state(content, path.name, names)
        check_fit(model, found.state, path.name)
        return found

    found = find(read_weights(path, check=find))
    skipped = load_all(model, found.state, path.name)
    matched = tuple(name for name in names if name in found.state)
    return LoadReport(matched, found.renamed, skipped, found.left_out, found.where)


def load_all(model: nn.Module, state: dict[str, Tensor], source: str) -> tuple[str, ...]:
    """Every tensor of `state` into `model`, or none; returns the counters that old files lack.

    Raises:
        WeightsError: they do not fit; `source` names the file.
    """
    check_fit(model, state, source)
    wanted = model.state_dict()
    model.load_state_dict({name: state.get(name, wanted[name]) for name in wanted})
    return tuple(sorted(name for name in wanted if name not in state))


def load_backbone(model: ResNet, source: Path | dict[str, Tensor], name: str = "") -> None:
    """Loads weights into `model`, a net for transfer: a head of another shape stays as it was drawn.

    `source` is a weights file, or a state dict that errors call `name`.

    Raises:
        WeightsError: as `load_weights`; the model is then as it was.
    """
    wanted = model.state_dict()
    if isinstance(source, Path):
        name, source = source.name, find_state(read_weights(source), source.name, wanted).state
    state = source
    head = {k: v for k, v in wanted.items() if k.startswith("fc.")}
    if not all(k in state and state[k].shape == v.shape for k, v in head.items()):
        state = {k: v for k, v in state.items() if not k.startswith("fc.")} | head
    load_all(model, state, name)


@dataclass(frozen=True)
class ImageNetModel:
    """A net with torchvision's weights, its class names, and its preprocessing (PIL image → (3, H, W))."""

    model: ResNet
    categories: tuple[str, ...]
    transform: Any
    tag: str


def imagenet_weights(variant: str, tag: str = "DEFAULT") -> ImageNetModel:
    """torchvision's ImageNet weights for one of `IMAGENET_WEIGHTS`, in this lab's net, in eval mode.

    Downloads into $TORCH_HOME on first use.

    Raises:
        WeightsError: no such weights, or they are not on this machine and there is no network.
    """
    from torchvision import models

    if variant not in IMAGENET_WEIGHTS:
        raise WeightsError(
            f"torchvision has no ImageNet weights for {variant}; choose {', '.join(IMAGENET_WEIGHTS)}."
        )
    enum = models.get_model_weights(variant)
    if tag not in enum.__members__ and tag != "DEFAULT":
        raise WeightsError(f"{variant} has no weights {tag!r}; it has {', '.join(enum.__members__)}.")
    weights = enum[tag] if tag in enum.__members__ else enum.DEFAULT
    name, folder = Path(weights.url).name, Path(torch.hub.get_dir()) / "checkpoints"
    with torch.device("meta"):  # no weights are drawn only to be replaced
        model = create_model(variant)
    try:
        model.load_state_dict(weights.get_state_dict(progress=False), assign=True)
    except (URLError, OSError) as error:
        raise WeightsError(
            f"The ImageNet weights of {variant} are not on this machine and could not be downloaded "
            f"({getattr(error, 'reason', error)}); connect once, or put {name} into {folder}."
        ) from None
    except Exception as error:
        raise WeightsError(
            f"{name} in {folder} is damaged or fits another net ({type(error).__name__}); delete it and try again."
        ) from None
    return ImageNetModel(model.eval(), tuple(weights.meta["categories"]), weights.transforms(), weights.name)
