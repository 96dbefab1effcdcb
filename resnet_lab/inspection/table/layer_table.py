"""The layers of a net in execution order, with shapes, parameters, MACs and memory: records, no formatting."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from functools import lru_cache, partial
from itertools import chain, groupby

import torch
from torch import nn

from resnet_lab.inspection.table.records import LayerRow, LayerTable, Shape
from resnet_lab.inspection.table.shapes import OwnShapes
from resnet_lab.inspection.table.trace import trace
from resnet_lab.models import ModelSpec, ResNet, get_spec
from resnet_lab.models.spec import BlockShape

MAX_SIDE = 1024  # pixels


def layer_table(model: str | ModelSpec | nn.Module, input_size: Shape = (3, 224, 224)) -> LayerTable:
    """The layers of `model` in execution order, for one image of `input_size` (C, H, W).

    Nothing is computed and no weight is made or copied: the net runs once on the meta device. Of a name or
    a spec, only blocks that differ are run, and the rows of their likes follow; a module of anyone's runs
    whole, and is left as it was: modes, hooks, `requires_grad`, statistics, also after an error.
    MACs count convolutions, linear layers and products of functions, as torchvision's metadata do. TorchScript
    and nn.DataParallel cannot be read; give the module inside. A module must not train at the same time.

    Raises:
        ValueError: for an unknown variant, a side outside 1 to 1,024 pixels, or a forward that fails; it
            names the layer and the sizes.
    """
    size = tuple(input_size)
    _check_size(size)
    if isinstance(model, nn.Module):
        model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
        spec = getattr(model, "spec", None)
        name = spec.name if isinstance(spec, ModelSpec) else type(model).__name__
        return LayerTable(name, size, trace(model, size))
    return _table_of_spec(get_spec(model), size)


@lru_cache(maxsize=64)
def _table_of_spec(spec: ModelSpec, size: Shape) -> LayerTable:
    folded = _Folded(spec)
    with torch.device("meta"):
        model = ResNet(folded.spec).float()  # whatever the process's default is: the table is kept
    with OwnShapes() if size[0] == 3 else nullcontext():  # of other images torch says what is wrong
        rows = trace(model, size)
    return LayerTable(spec.name, size, tuple(folded.unfold(rows)))


def _check_size(size: Shape) -> None:
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if len(size) != 3 or not whole or size[0] < 1:
        raise ValueError(f"input size is {size!r}; it is three whole numbers: channels, height, width")
    if not all(1 <= side <= MAX_SIDE for side in size[1:]):
        raise ValueError(
            f"input size is {size[1]:,} × {size[2]:,}; a side may be from 1 to {MAX_SIDE:,} pixels"
        )


class _Folded:
    """A spec with one block of each shape in a stage: resnet152 has 50 blocks of 8 shapes, resnet1202 600 of 5."""

    def __init__(self, spec: ModelSpec) -> None:
        self.models: list[list[int]] = []  # of each stage: for each block, the folded block that it is like
        blocks, extra, scales = [], [], []
        for _, stage in groupby(spec.block_shapes(), lambda shape: shape.stage):
            shapes = [_alike(shape) for shape in stage]
            distinct = list(dict.fromkeys(shapes))
            self.models.append([distinct.index(shape) for shape in shapes])
            blocks.append(len(distinct))
            extra.append(
                tuple(i for i, shape in enumerate(distinct) if shape.shortcut in ("pad", "projection"))
            )
            scales.append([(shape.shortcut_scale, shape.residual_scale) for shape in distinct])
        alphas, betas = zip(*chain(*scales), strict=True)
        self.spec = spec.replace(
            blocks=tuple(blocks), extra_projections=tuple(extra), shortcut_scale=alphas, residual_scale=betas
        )

    def unfold(self, table: tuple[LayerRow, ...]) -> Iterator[LayerRow]:
        """The rows of the whole net; only paths and receptive fields differ between blocks that are alike."""
        stem, *blocks, head = [list(part) for _, part in groupby(table, lambda row: (row.stage, row.block))]
        before = [part[-1].receptive_field for part in (stem, *blocks)]  # what each block's input sees
        yield from stem
        sees, first = before[0], 0
        for stage, likes in enumerate(self.models, start=1):
            for position, like in enumerate(likes):
                moved = partial(_moved, f"layer{stage}.{position}", before[first + like], sees)
                yield from (rows := [moved(row) for row in blocks[first + like]])
                sees = rows[-1].receptive_field
            first += max(likes) + 1
        yield from (_moved("", before[-1], sees, row) for row in head)


def _alike(shape: BlockShape) -> BlockShape:
    """The same for all blocks whose rows are the same: what a scale is does not matter, only whether there is one."""
    alpha, beta = (float(scale == 1) for scale in (shape.shortcut_scale, shape.residual_scale))
    return dataclasses.replace(shape, position=0, shortcut_scale=alpha, residual_scale=beta, drop_rate=0.0)


def _moved(block: str, saw: Shape, sees: Shape, row: LayerRow) -> LayerRow:
    """The same row in another block, whose input sees `sees` pixels where the first one's saw `saw`."""
    path = ".".join([block, *row.path.split(".")[2:]]) if block else row.path
    if path == row.path and saw == sees:
        return row
    field = tuple(side + b - a for side, a, b in zip(row.receptive_field, saw, sees, strict=True))
    return dataclasses.replace(row, path=path, receptive_field=field)
