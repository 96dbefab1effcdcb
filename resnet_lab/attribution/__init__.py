"""Where a net looks: heat maps by any of `METHODS`."""

from resnet_lab.attribution.layers import stage_names
from resnet_lab.attribution.maps import Cancelled, attribute, class_maps, signed_attribute
from resnet_lab.attribution.methods import METHODS
from resnet_lab.attribution.preserve_state import preserve_state

__all__ = [
    "METHODS",
    "Cancelled",
    "attribute",
    "class_maps",
    "preserve_state",
    "signed_attribute",
    "stage_names",
]
