"""The nets: `ModelSpec` → `ResNet`, the named variants, and loading weights into them."""

from resnet_lab.models.resnet import ResNet
from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import VARIANTS, create_model, default_input_size, draw_model, get_spec
from resnet_lab.models.weights import LoadReport, WeightsError, imagenet_weights, load_weights

__all__ = [
    "VARIANTS",
    "LoadReport",
    "ModelSpec",
    "ResNet",
    "WeightsError",
    "create_model",
    "default_input_size",
    "draw_model",
    "get_spec",
    "imagenet_weights",
    "load_weights",
]
