"""A net from a weights file that lies in no run: this lab's checkpoint from elsewhere, or a bare state dict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_lab.data import DatasetInfo
from resnet_lab.data.datasets import MAX_SIZE, MIN_SIZE
from resnet_lab.models import ModelSpec, WeightsError, create_model
from resnet_lab.models.weights import load_all, read_weights, rename_state, unwrap_state
from resnet_lab.runs.model import TrainedModel
from resnet_lab.training.start import IMAGENET


def load_outside(path: Path, spec: ModelSpec | None = None, info: DatasetInfo | None = None) -> TrainedModel:
    """The net in the file, in eval mode; no code in it is run.

    A checkpoint of this lab brings all it needs. For a bare state dict `spec` says which net it is; its number of
    classes is taken from the file. `info` is the data that it was trained on, for class names and normalisation;
    without, classes have numbers, and pictures are 224 × 224 with ImageNet's normalisation.

    Raises:
        WeightsError: the file cannot be read, no `spec` is given where one is needed, or the net or the number of
            classes does not fit.
    """
    content = read_weights(path)
    if isinstance(content, dict) and {"spec", "model", "classes", "image_size"} <= content.keys():
        return _own(content, path.name, info)
    if spec is None:
        raise WeightsError(f"{path.name} does not say which net it is; add its spec as a JSON file, or choose a net.")
    weights, _ = rename_state(unwrap_state(content, path))
    head = weights.get("fc.weight")
    if head is None or head.ndim != 2:
        raise WeightsError(f"{path.name} has no 'fc.weight', from which the number of classes is known.")
    count = len(head)
    if info is not None and len(info.classes) != count:
        raise WeightsError(f"{path.name} tells {count:,} classes apart, and {info.title} has {len(info.classes)}.")
    try:
        with torch.device("meta"):
            model = create_model(spec.replace(num_classes=count))
        model = model.to_empty(device="cpu")
        load_all(model, weights, path.name)
    except WeightsError:
        raise
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path.name} does not fit this net: {error}.") from None
    mean, std = (info.mean, info.std) if info else IMAGENET
    return TrainedModel(
        model=model.eval(),
        classes=info.classes if info else tuple(f"class {i}" for i in range(count)),
        image_size=info.image_size if info else 224,
        mean=mean,
        std=std,
        dataset=info.name if info else "",
    )


def _own(state: dict[str, Any], name: str, info: DatasetInfo | None) -> TrainedModel:
    try:
        with torch.device("meta"):
            model = create_model(ModelSpec.from_json(state["spec"]))
        weights: dict[str, Tensor] = state["model"]
        floats = {key: v.float() if v.is_floating_point() else v for key, v in weights.items()}
        model.load_state_dict(floats, assign=True)
        classes = tuple(str(c) for c in state["classes"])
        if len(classes) != model.fc.out_features:
            raise ValueError(f"it names {len(classes)} classes and its net has {model.fc.out_features}")
        size, std = int(state["image_size"]), _triple(state["std"])
        if not MIN_SIZE <= size <= MAX_SIZE or min(std) <= 0:
            raise ValueError(f"its pictures are of {size} pixels with deviations {std}")
        return TrainedModel(
            model=model.eval(),
            classes=classes,
            image_size=size,
            mean=_triple(state["mean"]),
            std=std,
            dataset=info.name if info and info.classes == classes else "",
        )
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise WeightsError(f"{name} is a damaged checkpoint of this lab: {reason}.") from None


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
