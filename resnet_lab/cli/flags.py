"""The fields of a record as flags."""

from __future__ import annotations

import argparse
from typing import Any

from resnet_lab.schema import fields_of

BEFORE = {"images": ["--pictures"]}  # what flags were called, which still goes


def add_fields(parser: Any, cls: type, *without: str) -> None:
    """A flag for each field of a record, read as its kind; whether it may be is for the record to check."""
    for name, field in fields_of(cls).items():
        if name in without:
            continue
        about = f"{field.help} {field.allowed[0].upper()}{field.allowed[1:]}.".strip().replace("%", "%%")
        flag: dict[str, Any] = {"type": field.kind if field.kind in (int, float) else str}
        if field.kind is bool:
            flag = {"action": argparse.BooleanOptionalAction}
        elif field.items is not None:
            is_of_one_length = field.longest is not None and field.longest == field.shortest
            flag = {"nargs": field.longest if is_of_one_length else "*", "type": field.items.kind}
        names = [f"--{name.replace('_', '-')}", *BEFORE.get(name, ())]
        parser.add_argument(*names, dest=name, help=about, **flag)


def given(options: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The fields of a record that flags were given for."""
    return {name: value for name in fields_of(cls) if (value := getattr(options, name, None)) is not None}
