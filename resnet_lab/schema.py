"""One schema for all that comes in as data: a class says each field's type, range, default, unit and help once.

From there follow the checks at every door (link, file, form, command line, run folder), the limits and help of the
form, the flags of the command line, and the one sentence that says what is wrong.

    @record
    class Recipe(Record):
        what: ClassVar[str] = "a recipe"
        epochs: Annotated[int, about("Times through the training set.", ge=1, le=100)] = 5
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

import pydantic
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

MAX_JSON = (
    1_000_000  # bytes of one object; the largest spec, of 2,000 blocks with projections each, has 20,000
)
# Whole numbers pass where fractions are meant; text and true do not pass for numbers, nor NaN and infinity.
CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_repr = reprlib.repr
T = TypeVar("T")


class SchemaError(ValueError):
    """One sentence: the field, what it got and what it may be."""


def about(help: str = "", *, title: str | None = None, unit: str = "", **limits: Any) -> Any:
    """What a class says of a field besides its type; `limits` are pydantic's: ge, gt, le, lt, max_length, examples …"""
    return Field(description=help, title=title, json_schema_extra={"unit": unit}, **limits)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen pydantic dataclass, whose errors are one sentence."""
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)(cls)
    checked = made.__init__
    names = [f.name for f in dataclasses.fields(made) if f.init]

    def __init__(self: Any, *args: Any, **values: Any) -> None:
        try:
            checked(self, *args, **values)
        except ValidationError as error:
            raise SchemaError(_sentence(made, error, dict(zip(names, args, strict=False)) | values)) from None

    made.__init__ = __init__
    return cast("type[T]", made)


class Record:
    """What all records can do. `what` is what errors call one: "a recipe"."""

    what: ClassVar[str] = "a record"

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, checked like the first."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `to_dict`, or its JSON, describes; fields left out keep their defaults.

        Raises:
            SchemaError: an unknown field, a missing one, or an impossible value.
        """
        known = fields_of(cls)  # type: ignore[arg-type]
        if unknown := sorted(set(data) - set(known)):
            raise SchemaError(f"unknown field {_repr(unknown[0])}; {cls.what} has {', '.join(known)}")
        if missing := [name for name, field in known.items() if field.required and name not in data]:
            raise SchemaError(f"{missing[0]} is missing; {cls.what} has {', '.join(known)}")
        try:
            return cls(**{name: _tuples(value) for name, value in data.items()})
        except RecursionError:
            raise SchemaError(f"{cls.what} is nested less deeply than this") from None

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            SchemaError: the text is no JSON object, or as `from_dict`.
        """
        return cls.from_dict(read_json(text, cls.what))


def nested(cls: type[Record]) -> BeforeValidator:
    """For a field that holds a record of `cls`: an object of JSON becomes one."""
    return BeforeValidator(lambda value: cls.from_dict(value) if isinstance(value, Mapping) else value)


def read_json(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`, which is UTF-8, with or without a byte order mark.

    Raises:
        SchemaError: it is too long, no text or no JSON object; `what` is what it should be, such as "a recipe".
    """
    if len(text) > MAX_JSON:
        raise SchemaError(f"{what} has up to {MAX_JSON:,} bytes of JSON, this has {len(text):,}")
    try:
        data = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
        json.dumps(
            data, ensure_ascii=False
        ).encode()  # half of a surrogate pair can be neither shown nor kept
    except UnicodeError:
        raise SchemaError(f"{what} is a JSON object, this is not text in UTF-8") from None
    except (ValueError, RecursionError) as error:  # a number of over 4,300 digits is a ValueError, too
        raise SchemaError(f"{what} is a JSON object, this is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise SchemaError(f"{what} is a JSON object, got {type(data).__name__}")
    return data


@dataclass(frozen=True)
class FieldInfo:
    """What a class says of one of its fields. `low` and `high` are limits, which an open end leaves out itself."""

    name: str
    title: str
    help: str
    unit: str
    kind: type  # int, float, bool, str, tuple, or a record
    optional: bool
    required: bool
    default: Any
    examples: tuple[Any, ...] = ()  # what a form offers, where other values may be typed or given too
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    shortest: int | None = None
    longest: int | None = None
    items: FieldInfo | None = None  # of a tuple, whose items are alike

    @property
    def allowed(self) -> str:
        """What the field may be, in words: "a whole number from 1 to 100"."""
        if self.choices:
            words = ", ".join(self.choices)
        elif self.kind is bool:
            words = "true or false"
        elif self.kind in (int, float):
            words = ("a whole number" if self.kind is int else "a number") + self._range()
        elif self.kind is str:
            words = f"text of up to {self.longest:,} letters" if self.longest else "text"
        elif self.items is not None:
            most = "" if self.longest is None else f" of {self.shortest or 0} to {self.longest}"
            length = f" of {self.longest}" if self.longest and self.longest == self.shortest else most
            words = f"a list{length}, each {self.items.allowed}"
        else:
            words = getattr(self.kind, "what", self.kind.__name__)
        return words + (", or none" if self.optional else "")

    def _range(self) -> str:
        low, high = (None if end is None else _number(end) for end in (self.low, self.high))
        if low is None or high is None:
            end = f" {'above' if self.open_low else 'from'} {low}" if low is not None else ""
            return end or (f" {'below' if self.open_high else 'up to'} {high}" if high is not None else "")
        if self.open_low:
            return f" above {low} and {'below' if self.open_high else 'up to'} {high}"
        return f" from {low} to {'below ' if self.open_high else ''}{high}"


@cache
def fields_of(cls: type) -> dict[str, FieldInfo]:
    """The fields of a record by name, in their order."""
    found = {}
    for name, field in cls.__pydantic_fields__.items():  # type: ignore[attr-defined]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        found[name] = _field_info(
            name,
            field.annotation,
            field.metadata,
            title=field.title or name.replace("_", " ").capitalize(),
            help=field.description or "",
            unit=str(extra.get("unit", "")),
            required=field.is_required(),
            examples=tuple(field.examples or ()),
            default=None if field.is_required() else field.get_default(call_default_factory=True),
        )
    return found


def _field_info(name: str, annotation: Any, metadata: list[Any], **said: Any) -> FieldInfo:
    annotation, metadata = _unwrapped(annotation, metadata)
    options = [a for a in get_args(annotation) if a is not NoneType]
    optional = get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation)
    if optional and len(options) == 1:
        annotation, metadata = _unwrapped(options[0], metadata)
    limits: dict[str, Any] = {}
    for constraint in metadata:
        match constraint:
            case Ge(low) | Gt(low):
                limits |= {"low": low, "open_low": isinstance(constraint, Gt)}
            case Le(high) | Lt(high):
                limits |= {"high": high, "open_high": isinstance(constraint, Lt)}
            case MinLen(shortest):
                limits["shortest"] = shortest
            case MaxLen(longest):
                limits["longest"] = longest
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        limits["choices"] = tuple(map(str, args))
    if origin is tuple:
        limits["items"] = _field_info(name, args[0], [], **(said | {"required": True, "default": None}))
        if args[-1] is not Ellipsis:
            limits |= {"shortest": len(args), "longest": len(args)}
    kind = str if origin is Literal else origin or annotation
    return FieldInfo(
        name, kind=kind if isinstance(kind, type) else object, optional=optional, **said, **limits
    )


def _unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """The type inside Annotated, and what is said of it besides `metadata`."""
    if get_origin(annotation) is not Annotated:
        return annotation, metadata
    inner, *more = get_args(annotation)
    return inner, [*metadata, *(m for said in more for m in getattr(said, "metadata", [said]))]


def _sentence(cls: type, error: ValidationError, values: Mapping[str, Any]) -> str:
    """The first thing that is wrong, in words."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # our own words, which name the field; of a nested record, its field
        words, at = str(first["ctx"]["error"]), first["loc"]
        return f"{at[0]}: {words}" if at and isinstance(values.get(str(at[0])), Mapping) else words
    name = str(first["loc"][0])
    if name not in fields_of(cls):
        return f"unknown field {_repr(name)}; {getattr(cls, 'what', cls.__name__)} has {', '.join(fields_of(cls))}"
    if name not in values:
        return f"{name} is missing; it may be {fields_of(cls)[name].allowed}"
    return f"{name} is {_repr(values[name])}; it may be {fields_of(cls)[name].allowed}"


def _tuples(value: Any) -> Any:
    """JSON has no tuples: lists come back as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
