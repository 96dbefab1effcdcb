"""The parts of a report on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from resnet_lab.figures.page import Alert, Cell, Chart, Heading, Part, Row, Table
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown

COLUMNS = 2  # of charts beside each other


def show_parts(parts: Sequence[Part], key: str) -> None:
    """One after the other; with the same `key`, charts of the next report are drawn into those of the last one."""
    for i, part in enumerate(parts):
        _show(part, f"{key}.{i}")


def _show(part: Part, key: str) -> None:
    match part:
        case Heading(text):
            st.subheader(escape_markdown(text), anchor=False)
        case Alert(text):
            st.warning(escape_markdown(text))
        case Table(rows):
            _table(rows)
        case Row(charts, caption):
            for first in range(0, len(charts), COLUMNS):
                row = charts[first : first + COLUMNS]
                for i, (column, chart) in enumerate(zip(st.columns(COLUMNS), row, strict=False), first):
                    with column:
                        _show(chart, f"{key}.{i}")
            _caption(caption)
        case Chart(figure, caption):
            # A chart of another kind is drawn anew: contours cannot become a surface in space.
            live_chart(figure, key=f"{key}.{figure.data[0].type if figure.data else ''}")
            _caption(caption)
        case _:
            st.markdown(escape_markdown(part))


def _caption(text: str) -> None:
    if text:
        st.caption(escape_markdown(text))


def _table(rows: Sequence[Mapping[str, Cell]]) -> None:
    """Numbers with thousands separators; text is aligned right behind the first column, which is the name."""
    text = st.column_config.TextColumn(alignment="right")
    number = st.column_config.NumberColumn(format="localized")
    look = {
        name: text if any(isinstance(row[name], str) for row in rows) else number
        for name in list(rows[0])[1:]
    }
    st.dataframe(list(map(dict, rows)), hide_index=True, width="content", column_config=look)
