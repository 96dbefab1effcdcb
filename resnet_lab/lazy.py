"""Packages that import a name when it is asked for: a schema, and with it a command's help, is read without torch."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def on_demand(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562): it does the imports that stand under its `if TYPE_CHECKING:`.

    They stand there once, where type checkers and editors look for them.
    """

    @cache
    def origins() -> dict[str, str]:
        nodes = ast.walk(ast.parse(inspect.getsource(sys.modules[package])))
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        return {alias.name: node.module for node in imports for alias in node.names if node.module}

    def __getattr__(name: str) -> Any:
        if name.startswith("__") or name not in origins():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(origins()[name]), name)
        setattr(sys.modules[package], name, value)  # the next time it is found without this
        return value

    return __getattr__
