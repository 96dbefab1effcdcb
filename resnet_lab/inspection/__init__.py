"""Reading a net without running it: its layer table, its diagram, and what was published about it."""

from typing import TYPE_CHECKING

from resnet_lab.lazy import on_demand

if TYPE_CHECKING:
    from resnet_lab.inspection.diagram.drawing import Selection, diagram_svg
    from resnet_lab.inspection.diagram.svg import Ink
    from resnet_lab.inspection.table.comparison import by_stage, neighbours, twin_of
    from resnet_lab.inspection.table.layer_table import layer_table
    from resnet_lab.inspection.table.records import LayerRow, LayerTable
    from resnet_lab.inspection.table.reference import Published, published
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "Ink",
    "LayerRow",
    "LayerTable",
    "Published",
    "Selection",
    "by_stage",
    "diagram_svg",
    "layer_table",
    "neighbours",
    "published",
    "twin_of",
]
