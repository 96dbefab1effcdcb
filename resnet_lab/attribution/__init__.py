"""Where a net looks: heat maps, how well they hit the object, and whether they can be trusted."""

from resnet_lab.attribution.layers import stage_names
from resnet_lab.attribution.methods import METHODS, Cancelled, attribute, class_maps, signed_attribute
from resnet_lab.attribution.scoring import Score, energy_inside, pointing_hits, score
from resnet_lab.attribution.undisturbed import undisturbed

__all__ = [
    "METHODS",
    "Cancelled",
    "Score",
    "attribute",
    "class_maps",
    "energy_inside",
    "pointing_hits",
    "score",
    "signed_attribute",
    "stage_names",
    "undisturbed",
]
