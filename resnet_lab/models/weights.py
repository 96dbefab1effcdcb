"""Weights in: this lab's checkpoints, torchvision's, and CIFAR checkpoints as others publish them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from resnet_lab.models.resnet import ResNet
from resnet_lab.models.variants import create_model

WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which people store the state dict
PREFIXES = ("module.", "_orig_mod.")  # left by DataParallel and by torch.compile
RENAMED = {"linear.": "fc.", ".shortcut.": ".downsample."}  # akamaster/pytorch_resnet_cifar10 and its heirs


class WeightsError(ValueError):
    """A weights file that cannot be used; the message is one sentence that names the file and the reason."""


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did: names as the model has them; `renamed` maps the file's name to the model's."""

    matched: tuple[str, ...]
    renamed: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def load_weights(model: nn.Module, path: str | Path) -> LoadReport:
    """Loads a .pt, .pth, .th or .safetensors file into `model`, all of it or nothing.

    A wrapper such as {"state_dict": …}, a "module." prefix, and "linear" for "fc" are understood. No code
    in the file is ever run (weights_only=True).

    Raises:
        WeightsError: the file is missing, cut short, no weights file, or fits another net; the model is
            then as it was.
    """
    path = Path(path)
    state, renamed = rename_state(unwrap_state(read_weights(path), path))
    skipped = load_all(model, state, path.name)
    matched = tuple(name for name in model.state_dict() if name in state)
    return LoadReport(matched, renamed, skipped)


def load_all(model: nn.Module, state: dict[str, Tensor], source: str) -> tuple[str, ...]:
    """Every tensor of `state` into `model`, or none; returns the counters that old files lack.

    Raises:
        WeightsError: they do not fit; `source` names the file.
    """
    wanted = model.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # absent in old files
    missing = [name for name in wanted if name not in state and name not in counters]
    extra = [name for name in state if name not in wanted]
    misfits = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if problem := _mismatch(wanted, state, missing, extra, misfits):
        raise WeightsError(f"{source} does not fit this net: {problem}.")
    model.load_state_dict({name: state.get(name, wanted[name]) for name in wanted})
    return tuple(sorted(name for name in counters if name not in state))


def load_backbone(model: ResNet, source: Path | dict[str, Tensor], name: str = "") -> None:
    """Loads weights into `model`, a net for transfer: a head of another shape stays as it was drawn.

    `source` is a weights file, or a state dict that errors call `name`.

    Raises:
        WeightsError: as `load_weights`; the model is then as it was.
    """
    if isinstance(source, Path):
        name, state = source.name, rename_state(unwrap_state(read_weights(source), source))[0]
    else:
        state = source
    wanted = model.state_dict()
    own = {k: v for k, v in wanted.items() if k.startswith("fc.")}
    same_head = all(k in state and state[k].shape == v.shape for k, v in own.items())
    state = {k: v for k, v in state.items() if same_head or not k.startswith("fc.")}
    if not same_head:
        state |= own
    load_all(model, state, name)


def read_weights(path: Path) -> Any:
    """The content of a weights file on the CPU, read without running any code in it.

    Raises:
        WeightsError: as `load_weights`.
    """
    if not path.is_file():
        raise WeightsError(f"{path.name} is not there; choose an existing weights file.")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path.name} is empty; save or download it again.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() and "global" in str(error).lower():
            reason = "holds Python objects besides tensors, which could run code, and is refused"
        else:
            reason = "is no weights file, or is damaged"
        raise WeightsError(f"{path.name} {reason}; save model.state_dict() instead.") from None
    except Exception as error:
        # torch and safetensors raise RuntimeError, EOFError, KeyError, ValueError, SafetensorError … here.
        raise WeightsError(
            f"{path.name} is cut short or is no weights file ({type(error).__name__}); save or download it again."
        ) from None


def unwrap_state(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside `content`, out of a wrapper if there is one."""
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = isinstance(content, dict) and {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(f"{path.name} holds no named tensors; save model.state_dict() instead.")
    return tensors


def rename_state(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict under this lab's names, and which names changed."""
    result, renamed = {}, {}
    for name, value in state.items():
        new = name
        for prefix in PREFIXES:
            new = new.removeprefix(prefix)
        for theirs, ours in RENAMED.items():
            new = ours + new[len(theirs) :] if new.startswith(theirs) else new
            new = new.replace(theirs, ours) if theirs.startswith(".") else new
        result[new] = value
        if new != name:
            renamed[name] = new
    return result, renamed


def _mismatch(
    wanted: dict[str, Tensor],
    state: dict[str, Tensor],
    missing: list[str],
    extra: list[str],
    misfits: list[str],
) -> str:
    """Why the state does not fit, in words, or '' when it does; the plainest reason first."""
    if extra and len(missing) > len(wanted) / 2:
        return f"it has no {missing[0]!r} and {len(missing) - 1:,} more, but {extra[0]!r}"
    if misfits:
        name = misfits[0]
        ours, theirs = tuple(wanted[name].shape), tuple(state[name].shape)
        return f"{name!r} has shape {theirs} in the file and {ours} in the net"
    if missing:
        return f"it lacks {missing[0]!r}" + (f" and {len(missing) - 1:,} more" if len(missing) > 1 else "")
    if extra:
        return f"it has {extra[0]!r} too" + (f" and {len(extra) - 1:,} more" if len(extra) > 1 else "")
    return ""


@dataclass(frozen=True)
class ImageNetModel:
    """A net with torchvision's weights, its class names, and its preprocessing (PIL image → (3, H, W))."""

    model: ResNet
    categories: tuple[str, ...]
    transform: Any
    tag: str


def imagenet_weights(variant: str, tag: str = "DEFAULT") -> ImageNetModel:
    """torchvision's ImageNet weights for one of its nine variants, in this lab's net, in eval mode.

    Downloads into $TORCH_HOME on first use.

    Raises:
        WeightsError: no such weights, or they are not on this machine and there is no network.
    """
    from torchvision.models import get_model_weights, list_models

    if variant not in list_models():
        raise WeightsError(
            f"torchvision has no ImageNet weights for {variant}; choose resnet18 to wide_resnet101_2."
        )
    enum = get_model_weights(variant)
    if tag not in enum.__members__ and tag != "DEFAULT":
        raise WeightsError(f"{variant} has no weights {tag!r}; it has {', '.join(enum.__members__)}.")
    weights = enum[tag] if tag in enum.__members__ else enum.DEFAULT
    with torch.device("meta"):  # no weights are drawn only to be replaced
        model = create_model(variant)
    try:
        model.load_state_dict(weights.get_state_dict(progress=False), assign=True)
    except (URLError, OSError) as error:
        raise WeightsError(
            f"The ImageNet weights of {variant} are not on this machine and could not be downloaded "
            f"({getattr(error, 'reason', error)}); connect once, or put {Path(weights.url).name} into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}."
        ) from None
    except Exception as error:
        raise WeightsError(
            f"{Path(weights.url).name} in {Path(torch.hub.get_dir()) / 'checkpoints'} is damaged or fits "
            f"another net ({type(error).__name__}); delete it and try again."
        ) from None
    return ImageNetModel(model.eval(), tuple(weights.meta["categories"]), weights.transforms(), weights.name)
