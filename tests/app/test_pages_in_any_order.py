"""No page meets what another one left behind: keys, the orders that once ended in a stack trace, old links."""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1.element_tree import Dataframe

from resnet_lab.runs import RunStore
from resnet_lab.ui.common.navigation import RENAMED, RENAMED_VALUES
from tests.app.keys import FOUND_BY_SCRIPTS, OF_ALL, PAGES, recorded_keys

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("pages/*.py"), *ROOT.glob("resnet_lab/ui/**/*.py")])
VIEWS = {
    "home": [{}, {"lesson": "looking"}],
    "architecture": [{"section": s} for s in ("Layers", "Memory", "Side by side", "Export", "Published")]
    + [{"build": "true"}],
    "training": [{}, {"dataset": "folder"}],
    "comparison": [{"experiment": w} for w in ("Curves", "Depth", "Responses", "Lesion", "Surface")],
    "prediction": [{"view": view} for view in RENAMED_VALUES["Prediction"]["view"].values()]
    + [{"run": "file"}, {"run": "resnet50"}, {"source": "Folder"}, {"source": "Test"}, {"source": "Camera"}],
    "runs": [{}],
}


def png(side=40):
    data = io.BytesIO()
    Image.fromarray(np.full((side, side + 9, 3), side, np.uint8)).save(data, "PNG")
    return data.getvalue()


def go(at, page, **query):
    """As a reader goes on in one session, by the menu or a link."""
    at.query_params.clear()
    at.query_params.update(query)
    at.switch_page(f"pages/{page}.py").run()
    assert not at.exception, at.exception[0].message
    return at


def upload(at, label, *names):
    box = next(box for box in at.file_uploader if box.label == label)
    box.set_value([(name, png(), "image/png") for name in names]).run()
    assert not at.exception, at.exception[0].message


# Keys


def literal(node):
    """The text with which a key begins; None where it is computed."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    if isinstance(node, ast.BinOp):
        return literal(node.left)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keys_in(path):
    """Each literal key of a widget, a chart, a job or the session, and whether it is a name in the link."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "st.session_state":
            yield literal(node.slice), False
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        bound = called in ("one_of", "one_titled") or any(word.arg == "bind" for word in node.keywords)
        if called.split(".")[-1][0].islower() and called not in ("sorted", "max", "min"):
            yield from ((literal(word.value), bound) for word in node.keywords if word.arg == "key")
        if bound and called.split(".")[0] == "fields":
            yield literal(node.args[4]), True
        if (
            called.startswith(("st.session_state.", "jobs.start", "jobs.current", "forget_unless"))
            and node.args
        ):
            yield literal(node.args[0]), False


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_key_in_the_source_carries_a_page(path):
    links = {key for each in SCRIPTS for key, bound in keys_in(each) if bound}
    allowed = links | FOUND_BY_SCRIPTS | OF_ALL
    found = {key for key, _ in keys_in(path) if key} - allowed
    if path.name == "classroom.py":  # the class's bar, which stands on every page
        found = {key for key in found if not key.startswith("classroom.")}
    assert {key for key in found if not key.startswith(tuple(f"{page}." for page in PAGES))} == set()


def test_the_scan_sees_keys():
    seen = {key for path in SCRIPTS for key, _ in keys_in(path) if key}
    assert {
        "prediction.shown",
        "architecture.place",
        "comparison.recipe",
        "view",
        "section",
        "which_net",
    } <= seen
    assert len(seen) > 60


def test_no_two_pages_have_a_key_in_common(open_page, saved):
    """In one session, each page with each of its views, twice."""
    for name in ("resnet20", "plain20"):
        saved(name)
    with recorded_keys() as keys:
        at = open_page("runs")
        for page, queries in [*VIEWS.items(), *reversed(VIEWS.items())]:
            for query in queries:
                go(at, page, **query)
                assert [*keys.problems(at.session_state)] == []
    assert all(keys.of[page] for page in PAGES)
    assert not set.intersection(keys.links["architecture"], set(RENAMED["Architecture"]))


# Orders


def test_two_uploads_after_the_layer_table(open_page, saved):
    saved("resnet20")
    at = go(open_page("architecture", variant="resnet110"), "prediction")
    upload(at, "Images", "a.png", "b.png")
    assert at.selectbox(key="prediction.shown").options == ["a.png", "b.png"]
    go(at, "architecture")
    upload(go(at, "prediction"), "Images", "c.png", "d.png", "e.png")


@pytest.mark.parametrize("source", ["Folder", "Test", "Camera", "Upload"])
def test_the_source_of_a_net_after_the_source_of_pictures(open_page, saved, source):
    saved("resnet20")
    at = open_page("prediction")
    at.segmented_control(key="source").set_value(source).run()
    go(at, "architecture", section="Export")
    assert not at.code
    at.toggle(key="code").set_value(True).run()
    assert at.code
    at = go(at, "prediction")
    assert at.segmented_control(key="source").value == source


def test_a_folder_of_pictures_after_a_folder_as_data(open_page, saved):
    saved("resnet20")
    at = open_page("training", dataset="folder", folder="some/where")
    at.text_input(key="folder").set_value("else/where").run()
    go(at, "prediction", source="Folder")
    upload(at, "Folder", "d/a.png", "d/b.png")
    assert at.dataframe
    at = go(at, "training")
    assert at.text_input(key="folder").value == "else/where"


@pytest.mark.parametrize("view", ["Sanity checks", "Localization", "All stages"])
def test_a_view_of_prediction_says_nothing_to_architecture(open_page, saved, view):
    saved("resnet20")
    at = open_page("prediction", source="Test", view=view)
    assert go(at, "architecture").segmented_control(key="section").value == "Layers"
    at.segmented_control(key="section").set_value("Memory").run()
    assert go(at, "prediction").segmented_control(key="view").value == view


def test_kinds_of_shortcuts_are_no_kinds_of_layers(open_page):
    at = open_page("comparison", kinds=["A", "B"])
    assert go(at, "architecture").get_by_key("only").value == []
    at.get_by_key("only").set_value(["Norms"]).run()
    assert set(at.dataframe[0].value["type"]) == {"BatchNorm2d"}
    assert go(at, "comparison").get_by_key("kinds").value == ["A", "B"]


# What pages share


def test_runs_hands_runs_to_comparison_once(open_page, saved):
    for name in ("resnet20", "plain20", "resnet32"):
        saved(name)
    runs = RunStore().list()
    at = open_page("runs")
    (table,) = [each for each in at._tree if isinstance(each, Dataframe)]
    at.session_state[table.proto.id.split("-", 2)[2]] = {
        "selection": {"rows": [0, 2], "columns": [], "cells": []}
    }
    at.run()
    next(button for button in at.button if button.label == "Compare").click().run()
    assert not at.exception
    assert at.multiselect(key="runs").value == [runs[0].id, runs[2].id]
    at.multiselect(key="runs").set_value([runs[1].id]).run()
    go(at, "runs")
    assert go(at, "comparison").multiselect(key="runs").value == [runs[1].id]


def test_the_run_looked_at_last_is_the_one_that_is_asked(open_page, saved):
    first, _ = saved("resnet20"), saved("plain20")
    at = open_page("prediction", run=first.id)
    go(at, "architecture")
    assert first.name in " ".join(each.value for each in go(at, "training").markdown)
    assert go(at, "prediction").selectbox(key="net").value == first.id


# Links


@pytest.mark.parametrize(
    ("old", "key", "value"),
    [
        ({"view": "Memory"}, "section", "Memory"),
        ({"view": "Take away", "source": "true"}, "code", True),
        ({"kinds": ["Norms", "ReLU"]}, "only", ["Norms", "ReLU"]),
        ({"kinds": "Norms"}, "only", ["Norms"]),
        ({"view": "Else"}, "section", "Layers"),
        ({"kinds": "Else"}, "only", []),
        ({"view": ""}, "section", "Layers"),
        ({"section": "Take away"}, "section", "Export"),
    ],
)
def test_links_of_before_still_open(open_page, old, key, value):
    at = open_page("architecture", variant="resnet20", **old)
    assert not at.exception
    assert at.get_by_key(key).value == value
    assert not set(at.query_params) & set(RENAMED["Architecture"])
    again = open_page("architecture", **at.query_params)  # today's link, as the address now is
    assert again.get_by_key(key).value == value


@pytest.mark.parametrize(("old", "today"), RENAMED_VALUES["Prediction"]["view"].items())
def test_views_of_prediction_open_by_their_names_of_before(open_page, saved, old, today):
    saved("resnet20")
    at = open_page("prediction", source="Test", view=old)
    assert not at.exception
    assert at.segmented_control(key="view").value == today
    assert at.query_params.get("view", today) == today  # the default one stands in no link
    again = go(go(at, "architecture"), "prediction", source="Test", view=old)  # in the same session
    assert again.segmented_control(key="view").value == today


@pytest.mark.parametrize("value", ["1e400", "-inf", "nan"])
@pytest.mark.parametrize(
    ("page", "key"),
    [("architecture", "size"), ("architecture", "classes"), ("architecture", "batch"), ("training", "epochs")]
    + [("training", "lr"), ("comparison", "seeds"), ("comparison", "start_seed"), ("prediction", "index")],
)
def test_a_number_beyond_all_numbers_in_a_link_is_as_none(open_page, saved, page, key, value):
    saved("resnet20")
    query = {"source": "Test"} if page == "prediction" else {"section": "Memory", "experiment": "Gradients"}
    usual = open_page(page, **query).number_input(key=key).value
    at = open_page(page, **query, **{key: value})
    assert not at.exception
    assert at.number_input(key=key).value == usual
    assert key not in at.query_params


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("architecture", "section"),
        ("architecture", "depth"),
        ("comparison", "experiment"),
        ("prediction", "view"),
    ]
    + [
        ("prediction", "source"),
        ("prediction", "stage"),
        ("architecture", "variant"),
        ("prediction", "method"),
    ],
)
def test_an_empty_name_in_a_link_is_as_none(open_page, saved, page, key):
    saved("resnet20")
    query = {"source": "Test"} if key in ("stage", "method") else {}
    usual = open_page(page, **query).get_by_key(key).value
    at = open_page(page, **query, **{key: ""})
    assert not at.exception
    assert usual is not None
    assert at.get_by_key(key).value == usual


@pytest.mark.parametrize("value", ["", "inf", "Trust", "Sanity checks"])
def test_a_link_to_the_page_that_is_shown_already(open_page, saved, value):
    """As the browser's way back makes one."""
    saved("resnet20")
    at = open_page("prediction", source="Test", index="3", view="All stages")
    go(at, "prediction", source="Test", index="1e400", view=value)
    go(at, "architecture", section="Memory")
    go(at, "architecture", view=value, size=value)
