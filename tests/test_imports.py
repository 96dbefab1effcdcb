"""DESIGN.md: imports point one way, and only pages and ui know streamlit."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {"models", "data", "figures", "inspection", "attribution", "analysis", "training", "runs"}
MAY_IMPORT = {
    "models": {"data"},
    "data": set(),
    "figures": set(),
    "inspection": {"models", "data"},
    "attribution": {"models", "data"},
    "analysis": {"models", "data"},
    "training": {"models", "data"},
    "runs": {"models", "data", "training"},
    "classroom": {"data", "runs", "training"},
    "experiments": BELOW,
    "cli": BELOW - {"attribution"} | {"experiments"},
    "ui": BELOW | {"experiments", "classroom"},
}
RECORDS = (
    "resnet_lab.training.events",
    "resnet_lab.analysis.records",
    "resnet_lab.attribution.records",
)  # without torch; figures draw them as they are
COMMON = {"__version__", "schema", "lazy"}
MODULES = sorted(ROOT.glob("resnet_lab/**/*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    part = path.relative_to(ROOT / "resnet_lab").parts[0]
    names = set(imported(path))
    if part != "ui":
        assert not any(name.split(".")[0] == "streamlit" for name in names)
    if part in MAY_IMPORT:
        known = {name for name in names if name.startswith("resnet_lab.") and not name.startswith(RECORDS)}
        assert {name.split(".")[1] for name in known} - {part, *COMMON} <= MAY_IMPORT[part]


@pytest.mark.parametrize("module", RECORDS)
def test_records_need_no_torch(module):
    names = set(imported(ROOT / f"{module.replace('.', '/')}.py"))
    assert not any(name.split(".")[0] == "torch" for name in names)
    assert all(name.startswith("resnet_lab.schema") for name in names if name.startswith("resnet_lab"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_torchvision_is_entered_by_its_root(path):
    """Or two threads that import it at once meet each other's half-made modules (docs/decisions/start-up.md)."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    whole |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not any(name.startswith("torchvision.") for name in whole)


def test_the_rule_covers_every_package():
    packages = {p.parent.name for p in ROOT.glob("resnet_lab/*/__init__.py")}
    assert packages == set(MAY_IMPORT)


def test_files_and_functions_stay_small():
    for path in [*MODULES, *ROOT.glob("pages/*.py")]:
        text = path.read_text()
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 50, f"{path}: {node.name}"
