"""A net from a weights file that lies in no run: this lab's checkpoint or export, or a bare state dict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_lab.data import DatasetInfo
from resnet_lab.models import ModelSpec, WeightsError
from resnet_lab.models.classifier import IMAGENET, Classifier
from resnet_lab.models.files.state_dicts import find_state
from resnet_lab.models.files.weights_file import read_metadata, read_weights
from resnet_lab.runs.model import said_by
from resnet_lab.schema import read_json


def load_outside(
    path: Path,
    spec: ModelSpec | None = None,
    info: DatasetInfo | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Classifier:
    """The net in the file, in eval mode; no code in it is run.

    Checkpoints of this lab, and what it exports of a run as safetensors or ONNX, bring all they need. Of a bare state
    dict `spec` says which net it is; its number of classes is taken from the file, and a single output is read as a
    sigmoid. `info` is the data that it was trained on, for class names and normalisation; without, classes have
    numbers, and images are 224 × 224 with ImageNet's normalisation. `beside` is what another file says of the net, as
    an exported source does; what the file says itself goes before it.

    Raises:
        WeightsError: the file cannot be read, no `spec` is given where one is needed, or the net or the number of
            classes does not fit.
    """
    try:
        content, said = _read(path)
        said = {**(beside or {}), **said}
        weights = find_state(content, path.name).state
        if "spec" not in said and spec is None:
            raise WeightsError(
                f"{path.name} does not say which net it is; add its spec as a JSON file, or choose a net."
            )
        if "classes" not in said:
            said = _said_of_bare(weights, spec or ModelSpec.from_json(said["spec"]), info, path.name)
        name = path.name.encode(errors="replace").decode()  # it may hold bytes that are no text
        net = Classifier.load(weights, said | {"weights": name}, path.name)
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"{path.name} cannot be used: {error}.") from None
    if info is None or info.classes != net.classes:
        return net
    return net.replace(dataset=info.name, trained_on=info.title)


def read_onnx(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights and metadata of a net that was exported as ONNX; files beside it that it may name are not read.

    Raises:
        WeightsError: the package onnx is missing, or the file is none of its.
    """
    try:
        import onnx
    except ImportError:
        raise WeightsError(f"{path.name} needs the package onnx; install it: pip install onnx.") from None
    try:
        file = onnx.load(path, load_external_data=False)
        floats = [t for t in file.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        weights = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in floats}
    except Exception as error:  # protobuf and onnx raise DecodeError, ValueError, TypeError, KeyError … here
        raise WeightsError(f"{path.name} is cut short or is no ONNX file ({type(error).__name__}).") from None
    return weights, {entry.key: entry.value for entry in file.metadata_props}


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    """What is in the file, and what it says of its net, as `Classifier.load` takes it."""
    if path.suffix == ".onnx":
        weights, texts = read_onnx(path)
        return weights, Classifier.read_metadata(texts)
    content = read_weights(path)
    if texts := read_metadata(path):
        return content, Classifier.read_metadata(texts)
    if isinstance(content, dict) and {"spec", "model", "classes", "image_size"} <= content.keys():
        config = content.get("config", "{}")
        return content, said_by(content, read_json(config if isinstance(config, str) else "", "its config"))
    return content, {}


def _said_of_bare(
    weights: dict[str, Tensor], spec: ModelSpec, info: DatasetInfo | None, source: str
) -> dict[str, Any]:
    """What is to be assumed of a bare state dict."""
    head = weights.get("fc.weight")
    if head is None or head.ndim != 2:
        raise WeightsError(f"{source} has no 'fc.weight', from which the number of classes is known.")
    outputs = len(head)
    count = 2 if outputs == 1 else outputs  # a single one says whether
    if info is not None and len(info.classes) != count:
        raise WeightsError(
            f"{source} tells {count:,} classes apart, and {info.title} has {len(info.classes)}."
        )
    try:
        spec = spec.replace(num_classes=outputs)
    except ValueError as error:
        raise WeightsError(f"{source} does not fit this net: {error}.") from None
    mean, std = (info.mean, info.std) if info else IMAGENET
    return {
        "spec": spec.to_json(),
        "classes": info.classes if info else tuple(f"class {i}" for i in range(count)),
        "image_size": info.image_size if info else 224,
        "mean": mean,
        "std": std,
        "activation": "sigmoid" if outputs == 1 else "softmax",
    }
