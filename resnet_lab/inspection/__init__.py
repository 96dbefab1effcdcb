"""Reading a net without running it: its layer table, its diagram, and what was published about it."""

from resnet_lab.inspection.diagram import diagram_svg
from resnet_lab.inspection.layer_table import layer_table
from resnet_lab.inspection.records import LayerRow, LayerTable
from resnet_lab.inspection.reference import Published, published
from resnet_lab.inspection.svg import Ink
from resnet_lab.inspection.twin import twin_of

__all__ = ["Ink", "LayerRow", "LayerTable", "Published", "diagram_svg", "layer_table", "published", "twin_of"]
