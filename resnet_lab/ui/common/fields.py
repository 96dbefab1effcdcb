"""Widgets over the fields of a record: label, unit, limits and help are what its class says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import streamlit as st

from resnet_lab.schema import FieldInfo, Record, fields_of

R = TypeVar("R", bound=Record)


def form(cls: type[R], key: str, links: Mapping[str, str]) -> R:
    """The record that a widget for each of its fields gives; those that may be none are not asked.

    Keys begin with `key`. `links` are the fields that stand in the page's link, by their names there.

    Raises:
        SchemaError: it cannot be; in one sentence.
    """
    asked = {name: field for name, field in fields_of(cls).items() if not field.optional}  # type: ignore[arg-type]
    return cls(
        **{
            name: _ask(field, {"key": links[name], "bind": "query-params"})
            if name in links
            else _ask(field, {"key": f"{key}.{name}", "persist_state": "session"})
            for name, field in asked.items()
        }
    )


def _ask(field: FieldInfo, kept: dict[str, Any]) -> Any:
    """The widget that fits a field: what it may be, and how many of it."""
    look, default, offered = {**_labelled(field), **kept}, field.default, list(field.examples)
    if field.kind is bool:
        return st.toggle(value=default, **look)
    if field.choices:
        return st.segmented_control(
            options=field.choices, default=default, required=True, format_func=str.capitalize, **look
        )
    if field.items is not None and field.items.kind is str:
        return tuple(st.pills(options=offered, selection_mode="multi", default=list(default), **look))
    if field.items is not None:
        typed = st.multiselect(
            options=list(map(str, offered)), default=list(map(str, default)), accept_new_options=True, width=210, **look
        )  # fmt: skip
        return tuple(map(_number, typed))
    if offered:
        return st.selectbox(options=offered, index=offered.index(default), width=160, **look)
    if field.kind is float and field.low is not None and field.high is not None:
        return st.slider(min_value=field.low, max_value=field.high, value=default, width=220, **look)
    low, high = (None if end is None else field.kind(end) for end in (field.low, field.high))
    return st.number_input(min_value=low, max_value=high, value=default, width=130, **look)


def number(place: Any, cls: type, name: str, value: Any, key: str, **more: Any) -> Any:
    """A number; an end that the field leaves out itself can be typed, and is then refused in words."""
    field = fields_of(cls)[name]
    low, high = (None if end is None else field.kind(end) for end in (field.low, field.high))
    if field.kind is float:
        more = {"format": "%.4g", **more}
    return place.number_input(**_labelled(field), min_value=low, max_value=high, value=value, key=key, **more)


def toggle(place: Any, cls: type, name: str, value: bool, key: str) -> bool:
    return bool(place.toggle(**_labelled(fields_of(cls)[name]), value=value, key=key))


def text(place: Any, cls: type, name: str, value: str | None, key: str, **more: Any) -> str | None:
    """None where nothing is typed."""
    return place.text_input(**_labelled(fields_of(cls)[name]), value=value, key=key, **more) or None


def choice(
    place: Any, cls: type, name: str, value: Any, key: str, labels: dict[Any, str], **more: Any
) -> Any:
    """One of `labels`, which has all that the field may be."""
    options = list(labels)
    return place.selectbox(
        **_labelled(fields_of(cls)[name]),
        options=options,
        index=options.index(value),
        format_func=labels.__getitem__,
        key=key,
        **more,
    )


def numbers(
    place: Any, cls: type, name: str, value: tuple[float, ...], key: str, **more: Any
) -> tuple[Any, ...]:
    """Several, with commas between them; what is no number stays text, and is then refused in words."""
    typed = place.text_input(
        **_labelled(fields_of(cls)[name]), value=", ".join(map(str, value)), key=key, **more
    )
    return tuple(_number(part) for part in typed.split(",") if part.strip())


def _labelled(field: FieldInfo) -> dict[str, Any]:
    return {
        "label": f"{field.title} ({field.unit})" if field.unit else field.title,
        "help": field.help or None,
    }


def _number(text: str) -> float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
