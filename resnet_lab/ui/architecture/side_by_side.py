"""Nets side by side: their diagrams below the first one, and the differences stage by stage."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.inspection import LayerTable, by_stage, layer_table, neighbours
from resnet_lab.inspection.table.formats import sides
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.ui.architecture import diagram
from resnet_lab.ui.common.markdown import escape_markdown

MOST = 2  # nets beside the first
PARTS = {"stem": "stem", "head": "head"}


def side_by_side_view(spec: ModelSpec, table: LayerTable) -> None:
    """Chosen nets beside `spec`, at the same image size and number of classes."""
    near = neighbours(spec)
    choices = dict(near)
    for name, variant in VARIANTS.items():
        if name != spec.name:
            choices.setdefault(name, variant.replace(num_classes=spec.num_classes))
    if not set(st.session_state.get("beside", [])) <= set(choices):
        st.session_state["beside"] = [next(iter(near))]
    names = st.multiselect(
        "Beside", list(choices), [next(iter(near))], max_selections=MOST, key="beside", bind="query-params",
        help="First those that differ from this net in one idea.",
    )  # fmt: skip
    if not names:
        st.info("Choose one or two nets to stand beside this one.")
        return
    specs = [choices[name] for name in names]
    tables = [table, *(layer_table(each, table.input_size) for each in specs)]
    for i, (each, its) in enumerate(zip(specs, tables[1:], strict=True)):
        st.markdown(f"**{escape_markdown(its.name)}**, below {escape_markdown(spec.name)}")
        diagram.still_diagram(each, its, key=f"architecture.beside.{i}")
    _differences(tables)
    st.caption(_in_words(tables))


def _differences(tables: list[LayerTable]) -> None:
    """Output, parameters and MACs of every stage in each net, and how far the others are from the first.

    The keys of the columns are told apart by place, as two nets may have one name.
    """
    frame = []
    for part in by_stage(tables):
        line: dict[str, Any] = {"part": PARTS.get(part.path, part.path.replace("layer", "stage "))}
        line |= _line("params", [row.params if row else 0 for row in part.rows])
        line |= _line("macs", [row.macs if row else 0 for row in part.rows])
        for i, row in enumerate(part.rows):
            line[f"out {i}"] = " × ".join(map(str, row.output_shape)) if row else "–"
            line[f"sees {i}"] = sides(row.receptive_field) if row else "–"
        frame.append(line)
    total = _line("params", [t.total_params for t in tables]) | _line("macs", [t.total_macs for t in tables])
    frame.append(dict.fromkeys(frame[0], "") | {"part": "whole net"} | total)
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    config: dict[str, Any] = {"part": text("", pinned=True)}
    for i, table in enumerate(tables):
        for quantity, heading in (("params", "parameters"), ("macs", "MACs")):
            config[f"{quantity} {i}"] = number(f"{table.name}: {heading}", format="localized")
            config[f"{quantity} difference {i}"] = text("±", alignment="right")
        config[f"out {i}"] = text(f"{table.name}: output", alignment="right")
        config[f"sees {i}"] = text(f"{table.name}: receptive field", alignment="right")
    st.dataframe(frame, hide_index=True, column_config=config)


def _line(quantity: str, values: list[int]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for i, value in enumerate(values):
        line[f"{quantity} {i}"] = value
        if i:
            line[f"{quantity} difference {i}"] = f"{value / values[0] - 1:+.1%}" if values[0] else "–"
    return line


def _in_words(tables: list[LayerTable]) -> str:
    """One line: what the others cost beside the first."""
    first, *others = tables
    lines = []
    for other in others:
        params, macs = other.total_params - first.total_params, other.total_macs - first.total_macs
        if not params and not macs:
            lines.append(f"{other.name} has not one parameter and not one MAC more or less")
        else:
            lines.append(f"{other.name} has {_more(params, 'parameters')} and {_more(macs, 'MACs')}")
    return escape_markdown("; ".join(lines) + f", beside {first.name}.")


def _more(difference: int, what: str) -> str:
    if not difference:
        return f"as many {what}"
    return f"{abs(difference):,} {'more' if difference > 0 else 'fewer'} {what}"
