"""Widgets over the fields of a record: label, unit, limits and help are what its class says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import streamlit as st

from resnet_lab.schema import FieldInfo, Record, fields_of
from resnet_lab.ui.common.widgets import options_of

R = TypeVar("R", bound=Record)


def form(cls: type[R], key: str, links: Mapping[str, str]) -> R:
    """The record that a widget for each of its fields gives; those that may be none are not asked.

    Keys begin with `key`. `links` are the fields that stand in the page's link, by their names there.

    Raises:
        SchemaError: it cannot be; in one sentence.
    """
    asked = {}
    for name, field in fields_of(cls).items():  # type: ignore[arg-type]
        kept = {"bind": "query-params"} if name in links else {"persist_state": "session"}
        if not field.optional:
            asked[name] = _offer(field, {**_labelled(field), "key": links.get(name, f"{key}.{name}"), **kept})
    return cls(**asked)


def _offer(field: FieldInfo, look: dict[str, Any]) -> Any:
    """The widget that fits a field: what it may be, and how many of it."""
    default, offered, (low, high) = field.default, list(field.examples), _limits(field)
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
    if field.kind is float and low is not None and high is not None:
        return st.slider(min_value=low, max_value=high, value=default, width=220, **look)
    return st.number_input(min_value=low, max_value=high, value=default, width=130, **look)


def ask(
    place: Any, cls: type, name: str, value: Any, key: str, labels: Mapping[Any, str] = {}, **more: Any
) -> Any:
    """One field, where most people keep its `value`; with `labels`, which has all that it may be, a choice of these.

    Of text, None where nothing is typed. An end that a field leaves out itself can be typed, and so can what is no
    number in a list of them: both are then refused in words.
    """
    field = fields_of(cls)[name]
    look = {**_labelled(field), "key": key, **more}
    if labels:
        return place.selectbox(**options_of(labels), index=list(labels).index(value), **look)
    if field.kind is bool:
        return place.toggle(value=value, **look)
    if field.kind is str:
        return place.text_input(value=value, **look) or None
    if field.kind is tuple:
        typed = place.text_input(value=", ".join(map(str, value)), **look)
        return tuple(_number(part) for part in typed.split(",") if part.strip())
    low, high = _limits(field)
    if field.kind is float:
        look = {"format": "%.4g", **look}
    return place.number_input(min_value=low, max_value=high, value=value, **look)


def _limits(field: FieldInfo) -> tuple[Any, Any]:
    """Of the field's own kind, which Streamlit's boxes insist on."""
    low, high = (None if end is None else field.kind(end) for end in (field.low, field.high))
    return low, high


def _labelled(field: FieldInfo) -> dict[str, Any]:
    label = f"{field.title} ({field.unit})" if field.unit else field.title
    return {"label": label, "help": field.help or None}


def _number(text: str) -> float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
