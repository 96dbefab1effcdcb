"""The nets: `ModelSpec` → `ResNet`, the named variants, and loading weights into them."""

from resnet_lab.models.resnet import ResNet
from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import VARIANTS, create_model, default_input_size, get_spec, init_model
from resnet_lab.models.weights import LoadReport, WeightsError, imagenet_weights, load_weights

__all__ = [
    "VARIANTS",
    "LoadReport",
    "ModelSpec",
    "ResNet",
    "WeightsError",
    "create_model",
    "default_input_size",
    "get_spec",
    "imagenet_weights",
    "init_model",
    "load_weights",
]
