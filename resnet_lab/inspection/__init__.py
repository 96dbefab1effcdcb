"""Reading a net without running it: its layer table, its diagram, and what was published about it."""


from resnet_lab.inspection.layer_table import LayerRow, LayerTable, layer_table

__all__ = [
    "LayerRow",
    "LayerTable",
    "PublishedFigure",
    "diagram_svg",
    "layer_table",
    "published_figures",
    "twin_of",
]
