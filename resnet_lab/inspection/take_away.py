"""A net to take away: as ONNX, as a PyTorch file of its own, as safetensors, or as its spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resnet_lab.inspection.export import MAX_BYTES, to_onnx, to_safetensors
from resnet_lab.inspection.layer_table import layer_table
from resnet_lab.inspection.source import standalone_source
from resnet_lab.models import ModelSpec, ResNet

Size = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class Export:
    """One format: its label, the end of its file name, and how a net with or without weights is written."""

    label: str
    suffix: str
    mime: str
    about: str
    of_spec: Callable[[ModelSpec, Size], str] | None = None
    of_model: Callable[[ResNet, Size], bytes] | None = None

    @property
    def has_weights(self) -> bool:
        return self.of_model is not None

    def write(self, spec: ModelSpec, size: Size, load: Callable[[], ResNet]) -> bytes:
        """The file; `load` is only called for a format that holds weights.

        Raises:
            ValueError: the weights are too many for a file, or the input does not fit.
        """
        if self.of_model is not None:
            if (held := layer_table(spec, size).weight_bytes) > MAX_BYTES:  # known before any is drawn
                raise ValueError(f"its weights take {held / 1e9:,.1f} GB; a file takes at most 2 GB")
            return self.of_model(load(), size)
        assert self.of_spec is not None
        return self.of_spec(spec, size).encode()


EXPORTS = {
    "onnx": Export(
        "ONNX", ".onnx", "application/octet-stream",
        "Graph and weights, for normalised pictures; Netron draws it with its skip edges, onnxruntime runs it.",
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
        of_model=lambda model, size: to_safetensors(model, {"spec": model.spec.to_json()}),
    ),
    "json": Export(
        "Spec", ".json", "application/json",
        "Every field of the net; this page and the command line read it.",
        of_spec=lambda spec, size: spec.to_json(),
    ),
}  # fmt: skip
