"""The list of slow tests names tests that are there."""

import ast
from pathlib import Path

from tests.conftest import SLOW

ROOT = Path(__file__).parents[1]


def test_each_line_is_a_test():
    for line in SLOW.read_text().splitlines():
        path, name = line.split("::")
        defined = {getattr(node, "name", None) for node in ast.parse((ROOT / path).read_text()).body}
        assert name in defined, line
