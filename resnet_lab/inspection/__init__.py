"""Reading a net without running it: its layer table, its diagram, and what was published about it."""

from resnet_lab.inspection.diagram import diagram_svg
from resnet_lab.inspection.layer_table import LayerRow, LayerTable, layer_table

__all__ = ["LayerRow", "LayerTable", "diagram_svg", "layer_table"]
