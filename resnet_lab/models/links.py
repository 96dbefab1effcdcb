"""A spec as a short piece of a link: the nearest variant, and the fields that differ.

    resnet50.width-32.blocks-3-3-3.dilation-0-1

Only letters, digits and "-._" occur (and "%" in names that users typed), so that browsers leave it as it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import VARIANTS
from resnet_lab.schema import fields_of

EMPTY = "none"  # of a tuple


def spec_to_link(spec: ModelSpec) -> str:
    """The shortest form: a variant is its name alone."""
    return _form(nearest_variant(spec), spec)


def nearest_variant(spec: ModelSpec) -> ModelSpec:
    """The variant from which the fewest fields differ; of several the one with the shortest link."""

    def length(base: ModelSpec) -> tuple[int, int]:
        text = _form(base, spec)
        return text.count("."), len(text)

    return min(VARIANTS.values(), key=length)


def spec_from_link(text: str) -> ModelSpec:
    """The spec that `spec_to_link` wrote.

    Raises:
        ValueError: for an unknown variant or field, or an impossible value; it names it.
    """
    name, *changes = text.split(".")
    if name not in VARIANTS:
        raise ValueError(f"the link begins with {name[:60]!r}; it begins with a variant, such as resnet50")
    known = fields_of(ModelSpec)
    fields: dict[str, Any] = {}
    for change in changes:
        field, _, value = change.partition("-")
        if field not in known:
            raise ValueError(
                f"the link has the unknown field {field[:60]!r}; it may be {', '.join(sorted(known))}"
            )
        fields[field] = _read(field, value)
    return VARIANTS[name].replace(**fields)


def _form(base: ModelSpec, spec: ModelSpec) -> str:
    changes = [
        f"{field}-{_write(field, value)}"
        for field in fields_of(ModelSpec)
        if (value := getattr(spec, field)) != getattr(base, field)
    ]
    return ".".join([base.name, *changes])


def _write(field: str, value: Any) -> str:
    if field == "name":
        return quote(value, safe="").replace(".", "%2E")
    if field == "extra_projections":
        return "-".join("_".join(map(str, stage)) for stage in value) if value else EMPTY
    if isinstance(value, tuple):
        return "-".join(map(_text, value)) or EMPTY
    return _text(value)


def _text(value: Any) -> str:
    """Of a fraction with p for its point and m for a minus, as both mean something else here: 0.5 is 0p5."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0").replace(".", "p").replace("-", "m")
    return str(int(value)) if isinstance(value, bool) else str(value)


def _read(field: str, value: str) -> Any:
    """The value of a field, of its kind; whether it may be is for the spec to say."""
    if field == "name":
        return unquote(value)
    about = fields_of(ModelSpec)[field]
    try:
        if field == "extra_projections":
            stages = [] if value == EMPTY else value.split("-")
            return tuple(tuple(int(n) for n in stage.split("_") if n) for stage in stages)
        if about.kind is float:
            return _fraction(value)
        if about.items is not None and about.items.kind is float:
            return tuple(map(_fraction, value.split("-")))
        if about.kind is tuple:
            numbers = tuple(int(n) for n in value.split("-")) if value != EMPTY else ()
            return tuple(map(_truth, numbers)) if field == "dilation" else numbers
        if about.kind is bool:
            return _truth(int(value))
        return int(value) if about.kind is int else value
    except ValueError:
        raise ValueError(f"{field} is {value[:60]!r} in the link, which cannot be read") from None


def _fraction(text: str) -> float:
    return float(text.replace("p", ".").replace("m", "-"))


def _truth(number: int) -> bool:
    if number not in (0, 1):
        raise ValueError(number)
    return bool(number)
