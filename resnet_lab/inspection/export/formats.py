"""The formats that a net can be exported in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resnet_lab.inspection.export.onnx import MAX_BYTES, to_onnx
from resnet_lab.inspection.export.safetensors import to_safetensors
from resnet_lab.inspection.export.source import standalone_source
from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.models import ModelSpec, ResNet, init_model
from resnet_lab.models.classifier import Classifier

Size = tuple[int, int, int]  # (C, H, W)
Metadata = dict[str, str]


@dataclass(frozen=True)
class Export:
    """One format: its label, the end of its file name, and how a net with or without weights is written."""

    label: str
    suffix: str
    mime: str
    about: str
    of_spec: Callable[[ModelSpec, Size, Classifier | None], str] | None = None
    of_model: Callable[[ResNet, Size, Metadata], bytes] | None = None

    @property
    def has_weights(self) -> bool:
        return self.of_model is not None

    def write(self, net: ModelSpec | Classifier, size: Size, seed: int = 0) -> bytes:
        """The file; with a classifier goes how it is fed, and the weights of a spec are drawn by `seed`.

        Raises:
            ValueError: the weights are too many for a file, or the input does not fit.
        """
        spec, classifier = (net, None) if isinstance(net, ModelSpec) else (net.model.spec, net)
        if self.of_spec is not None:
            return self.of_spec(spec, size, classifier).encode()
        assert self.of_model is not None
        if (held := layer_table(spec, size).weight_bytes) > MAX_BYTES:  # known before any is drawn
            raise ValueError(f"its weights take {held / 1e9:,.1f} GB; a file takes at most 2 GB")
        if classifier is None:
            return self.of_model(init_model(spec, seed), size, {"spec": spec.to_json()})
        return self.of_model(classifier.model, size, classifier.metadata())


EXPORTS = {
    "onnx": Export(
        "ONNX", ".onnx", "application/octet-stream",
        "Graph and weights, for normalised images; Netron draws it with its skip edges, onnxruntime runs it.",
        of_model=to_onnx,
    ),
    "python": Export(
        "PyTorch source", ".py", "text/x-python",
        "One file that needs torch alone and takes the same state dict.",
        of_spec=standalone_source,
    ),
    "safetensors": Export(
        "Weights", ".safetensors", "application/octet-stream",
        "The state dict, under torchvision's names.",
        of_model=lambda model, size, metadata: to_safetensors(model, metadata),
    ),
    "json": Export(
        "Spec", ".json", "application/json",
        "Every field of the net; this page and the command line read it.",
        of_spec=lambda spec, size, net: spec.to_json(),
    ),
}  # fmt: skip
