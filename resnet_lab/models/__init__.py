"""The nets: `ModelSpec` → `ResNet`, the named variants, and loading weights into them."""

from typing import TYPE_CHECKING

from resnet_lab.lazy import on_demand

if TYPE_CHECKING:
    from resnet_lab.models.create import create_model, draw_model, init_model
    from resnet_lab.models.resnet import ResNet
    from resnet_lab.models.spec import ModelSpec
    from resnet_lab.models.variants import VARIANTS, default_input_size, get_spec
    from resnet_lab.models.weights import LoadReport, WeightsError, imagenet_weights, load_weights
else:
    __getattr__ = on_demand(__name__)

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
    "init_model",
    "load_weights",
]
