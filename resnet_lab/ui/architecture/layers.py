"""The layer table on the page: depth, filter, choice of a row and its explanation, downloads."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, get_args

import streamlit as st

from resnet_lab.inspection import LayerRow, LayerTable, layer_table
from resnet_lab.inspection.explain import explain
from resnet_lab.inspection.table.formats import as_csv, as_json, records
from resnet_lab.inspection.table.rollup import Depth, rollup
from resnet_lab.models import ModelSpec
from resnet_lab.ui.architecture import diagram
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import download, one_of, options_of

COLUMNS = {  # in their order, and their widths in pixels
    "layer": 165,
    "type": 105,
    "kernel": 60,
    "stride": 60,
    "padding": 65,
    "dilation": 65,
    "groups": 60,
    "output": 115,
    "parameters": 95,
    "% of parameters": 105,
    "MACs": 110,
    "% of MACs": 105,
    "activations (kB)": 120,
    "receptive field": 105,
    "field stride": 85,
    "input": 115,
}
BARE = (r"\text{count}", r"\text{bytes}")  # where no formula applies, the number stands alone
WIDE = 130  # characters of LaTeX; a longer formula has its note below it
MANY = 1_000  # rows; beyond, the table begins with blocks
KINDS = {
    "Convolutions, linear": lambda row: row.macs > 0,
    "Norms": lambda row: "Norm" in row.type,
    "ReLU": lambda row: row.type == "ReLU",
    "Shortcuts": lambda row: row.is_shortcut or row.is_function,
}


def layer_view(spec: ModelSpec, table: LayerTable) -> None:
    """Filters, the table, its sums, downloads; above it the explanation of the chosen row."""
    _explanation(spec, table)
    depth, kinds, place = _filters(spec, table)
    rows = [
        (i, row)
        for i, row in enumerate(rollup(table, depth))
        if _is_in(row, place) and (not kinds or any(KINDS[kind](row) for kind in kinds))
    ]
    if not rows:
        st.info("No row of this table is of that kind; remove a filter.")
        return
    _table(spec, table, depth, rows)
    _sums(table, [row for _, row in rows])
    with st.container(horizontal=True):
        name = f"{table.name}-{depth}"
        download("CSV", partial(as_csv, table, depth), f"{name}.csv", "text/csv")
        download("JSON", partial(as_json, table, depth), f"{name}.json", "application/json")


def _filters(spec: ModelSpec, table: LayerTable) -> tuple[str, list[str], str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        usual = "layers" if len(table.rows) < MANY else "blocks"
        depth = one_of("Depth", get_args(Depth), key="depth", default=usual)
        kinds: list[str] = []
        if depth == "layers":
            kinds = st.pills("Only", list(KINDS), selection_mode="multi", key="only", bind="query-params")
        places = {"": "the whole net", "stem": "stem"}
        places |= {f"layer{i}": f"stage {i}" for i in range(1, len(spec.blocks) + 1)} | {"head": "head"}
        block = diagram.block_of(diagram.chosen())
        if block and depth != "stages":
            places[block] = f"block {block}"
        if st.session_state.setdefault("architecture.place", block) not in places:
            st.session_state["architecture.place"] = ""
        place = st.selectbox("Of", **options_of(places), key="architecture.place", width=180)
    return depth, kinds, place


def _is_in(row: LayerRow, place: str) -> bool:
    if place in ("stem", "head"):
        head = row.path.split(".")[0] in ("bn_last", "relu_last", "avgpool", "fc", "head")
        return row.stage is None and not row.path.startswith("layer") and head == (place == "head")
    return not place or _belongs(row.path, place)


def _table(spec: ModelSpec, table: LayerTable, depth: str, rows: list[tuple[int, LayerRow]]) -> None:
    cells = _cells(spec, table.input_size, depth)
    frame = [cells[i] for i, _ in rows]
    keys = [row.key for _, row in rows]
    key = diagram.chosen()
    marked = [i for i, each in enumerate(keys) if key and _belongs(each, key)]
    name = f"architecture.rows.{depth}.{len(rows)}"
    st.session_state[name] = {"selection": {"rows": marked, "columns": [], "cells": []}}
    st.session_state["architecture.shown"] = keys
    st.dataframe(
        frame,
        hide_index=True,
        height=min(420, 38 + 35 * len(frame)),
        column_order=_columns([row for _, row in rows]),
        column_config={each: _look(each, width, frame) for each, width in COLUMNS.items()},
        key=name,
        on_select=lambda: _on_select(name),
        selection_mode=["multi-row", "single-cell"],
    )


@lru_cache(maxsize=16)
def _cells(spec: ModelSpec, size: tuple[int, int, int], depth: str) -> list[dict[str, Any]]:
    """The table as it is shown: shares in per cent, memory in kB."""
    table = layer_table(spec, size)
    return [
        {
            **{key: value for key, value in record.items() if not key.startswith(("share", "activation"))},
            "groups": str(record["groups"] or ""),
            "% of parameters": 100 * record["share_of_parameters"],
            "% of MACs": 100 * record["share_of_MACs"],
            "activations (kB)": record["activation_bytes"] / 1000,
            "receptive field": record["receptive_field"],
            "field stride": record["field_stride"],
        }
        for record in records(table, depth)
    ]


def _columns(rows: list[LayerRow]) -> list[str]:
    """The columns that say something: no kernel for stages, no dilation where there is none."""
    hidden = set()
    if not any(row.kernel or row.stride for row in rows):
        hidden |= {"kernel", "stride", "padding"}
    if not any(max(row.dilation, default=1) > 1 for row in rows):
        hidden.add("dilation")
    if not any((row.groups or 1) > 1 for row in rows):
        hidden.add("groups")
    return [name for name in COLUMNS if name not in hidden]


def _look(name: str, width: int, frame: list[dict[str, Any]]) -> Any:
    column = st.column_config
    match name:
        case "layer" | "type":
            return column.TextColumn(pinned=name == "layer", width=width)
        case "parameters" | "MACs":
            return column.NumberColumn(format="localized", width=width)
        case "activations (kB)":
            return column.NumberColumn(format="%.1f", width=width)
        case "% of parameters" | "% of MACs":
            most = max(max(cells[name] for cells in frame), 1e-9)
            return column.ProgressColumn(format="%.2f", min_value=0, max_value=most, width=width)
    return column.TextColumn(alignment="right", width=width)


def _belongs(key: str, to: str) -> bool:
    return key == to or key.startswith(f"{to}.")


def _on_select(name: str) -> None:
    """A click on a cell, or on the box of a row, chooses the row."""
    selection, keys = st.session_state[name]["selection"], st.session_state["architecture.shown"]
    marked = diagram.chosen()
    picked = [row for row, _ in selection["cells"]] or [
        row for row in selection["rows"] if not marked or not _belongs(keys[row], marked)
    ]
    if picked:
        if keys[picked[-1]] != marked:
            diagram.choose(keys[picked[-1]])
    elif marked:
        diagram.choose(marked)  # a box was cleared


def _explanation(spec: ModelSpec, table: LayerTable) -> None:
    row = _row_to_explain(table, diagram.chosen())
    if row is None:
        st.caption(
            "Choose a block or a layer, in the diagram or in the table, to see how its numbers come about."
        )
        return
    explanation = explain(row, table, spec)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(explanation.title)}**")
            if st.button(
                "", icon=":material/close:", type="tertiary", help="Let the row go", key="architecture.let_go"
            ):
                diagram.choose("")
                st.rerun()
        for step in explanation.steps:
            wide = len(step.formula) + len(step.numbers) > WIDE
            name, formula, note = st.columns(
                [1.1, 6, 0.1] if wide else [1.1, 3.6, 2.4], vertical_alignment="center"
            )
            name.markdown(step.quantity)
            sides = [step.formula] * (step.formula not in BARE) + [step.numbers] * bool(step.numbers)
            formula.markdown("$" + r"\;=\;".join(sides) + "$")
            if step.note:
                (formula if wide else note).caption(step.note)


def _row_to_explain(table: LayerTable, key: str) -> LayerRow | None:
    """The row of this key; of a block, its addition or (in a plain net) its last row."""
    if not key:
        return None
    rows = {row.key: row for row in reversed(table.rows)}  # of a layer that is called twice, the first call
    row = rows.get(key) or rows.get(f"{key}.add()")
    if row is None and diagram.block_of(key) == key:
        return next((row for row in reversed(table.rows) if row.path.startswith(f"{key}.")), None)
    return row


def _sums(table: LayerTable, rows: list[LayerRow]) -> None:
    params, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    memory = sum(row.activation_bytes() for row in rows)
    part = ""
    if (params, macs) != (table.total_params, table.total_macs):
        part = f" ({params / max(table.total_params, 1):.1%} and {macs / max(table.total_macs, 1):.1%})"
    st.markdown(
        f"**Sum of {len(rows):,} rows: {params:,} parameters, {macs:,} MACs{part}, "
        f"{memory / 1e6:,.1f} MB of activations.**"
    )
    st.caption(
        "Shapes are channels × height × width. MACs count convolutions and linear layers. Activations are what "
        "one image leaves in memory, in float32, for the backward pass. A type with () is a function call: no "
        "module, so no hook of torch sees it."
    )
