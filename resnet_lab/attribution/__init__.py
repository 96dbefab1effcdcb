"""Where a net looks: heat maps, and how well they hit the object."""

from resnet_lab.attribution.methods import METHODS, Cancelled, attribute, stage_names
from resnet_lab.attribution.scoring import Score, energy_inside, pointing_hits, score
from resnet_lab.attribution.undisturbed import undisturbed

__all__ = [
    "METHODS",
    "Cancelled",
    "Score",
    "attribute",
    "energy_inside",
    "pointing_hits",
    "score",
    "stage_names",
    "undisturbed",
]
