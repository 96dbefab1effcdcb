"""Reading a net without running it: its layer table, its diagram, and what was published about it."""

from resnet_lab.inspection.comparison import by_stage, neighbours, twin_of
from resnet_lab.inspection.diagram import View, diagram_svg
from resnet_lab.inspection.layer_table import layer_table
from resnet_lab.inspection.records import LayerRow, LayerTable
from resnet_lab.inspection.reference import Published, published
from resnet_lab.inspection.svg import Ink

__all__ = [
    "Ink",
    "LayerRow",
    "LayerTable",
    "Published",
    "View",
    "by_stage",
    "diagram_svg",
    "layer_table",
    "neighbours",
    "published",
    "twin_of",
]
