"""Widgets over the fields of a record: label, unit, limits and help are what its class says."""

from __future__ import annotations

from typing import Any

from resnet_lab.schema import FieldInfo, fields_of


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
