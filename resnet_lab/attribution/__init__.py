"""Where a net looks: heat maps, how well they hit the object, and whether they can be trusted."""

from resnet_lab.attribution.layers import stage_names
from resnet_lab.attribution.localization import Score, energy_inside, pointing_hits, score
from resnet_lab.attribution.methods import METHODS, Cancelled, attribute, class_maps, signed_attribute
from resnet_lab.attribution.preserve_state import preserve_state

__all__ = [
    "METHODS",
    "Cancelled",
    "Score",
    "attribute",
    "class_maps",
    "energy_inside",
    "pointing_hits",
    "preserve_state",
    "score",
    "signed_attribute",
    "stage_names",
]
