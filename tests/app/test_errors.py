"""Errors on the training page: nothing is computed before it is asked for, and a cell shows its images."""

import dataclasses
import shutil
from functools import partial

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from resnet_lab.data import load_dataset
from resnet_lab.experiments import errors
from resnet_lab.experiments.errors import Predictions, cell, measure, worst
from resnet_lab.runs import RunStore
from resnet_lab.ui.common.markdown import percent


@pytest.fixture
def run(trained, monkeypatch):
    """A copy of that run, and a test split of 200 images."""
    monkeypatch.setattr(errors, "load_dataset", partial(load_dataset, limit=200))
    store = RunStore()
    shutil.copytree(trained.path, store.root / trained.id)
    return store.get(trained.id)


@pytest.fixture(autouse=True)
def links(monkeypatch):
    """The links to other pages, which a page that is a function cannot have."""
    seen = []
    monkeypatch.setattr(st, "page_link", lambda page, **options: seen.append((page, options["query_params"])))
    return seen


def page():
    from resnet_lab.runs import RunStore
    from resnet_lab.ui.training.errors import errors_view

    (run,) = RunStore().list()
    errors_view(run)


def opened():
    return AppTest.from_function(page, default_timeout=60).run()


def asked():
    at = opened()
    next(b for b in at.button if b.label == "Show the confusion matrix").click().run()
    assert not at.exception
    return at


def captions(at):
    return [image.captions[0].replace("\\", "") for image in at.image]


def words(found, indices):
    names = found.classes
    return [
        f"{names[found.labels[i]]} → {names[found.predicted[i]]} {percent(float(found.confidences[i]))}"
        for i in indices
    ]


def choose(monkeypatch, row, column):
    """As if the reader had clicked that cell; AppTest has no charts."""
    draw = st.plotly_chart

    def chosen(*args, **options):
        draw(*args, **options)
        return {"selection": {"points": [{"x": column, "y": row}]}}

    monkeypatch.setattr(st, "plotly_chart", chosen)


def test_nothing_is_computed_before_it_is_asked_for(run, monkeypatch):
    monkeypatch.setattr(errors, "measure", lambda *_: pytest.fail("asked too early"))
    at = opened()
    assert not at.exception
    assert [b.label for b in at.button] == ["Show the confusion matrix"]
    assert not at.get("plotly_chart")


def test_the_worst_mistakes_are_shown_first(run):
    at, found = asked(), measure(run)
    assert not at.button
    assert f"**{found.right:,} of 200 correct**" in at.markdown[0].value
    assert captions(at) == words(found, worst(found, 24))
    assert at.markdown[1].value == f"**The worst mistakes**, 24 of {200 - found.right:,}"
    assert len(at.get("plotly_chart")) == 1


def test_a_cell_shows_its_pictures(run, monkeypatch):
    found = measure(run)
    confusion = found.confusion * (1 - np.eye(10, dtype=np.int64))
    row, column = np.unravel_index(confusion.argmax(), confusion.shape)
    choose(monkeypatch, row, column)
    at = asked()
    assert captions(at) == words(found, cell(found, row, column, 24))
    assert at.markdown[1].value.startswith(f"**{found.classes[row]} taken for {found.classes[column]}**")


def test_each_picture_links_to_where_the_net_looks_in_it(run, links):
    asked()
    shown = worst(measure(run), 24)
    there = {"run": run.id, "source": "Test"}
    assert links == [("pages/prediction.py", {**there, "index": str(i)}) for i in shown]


def test_answers_are_kept_until_the_net_changes(run, monkeypatch):
    asked()
    monkeypatch.setattr(errors, "measure", lambda *_: pytest.fail("asked again"))
    assert opened().image  # another session finds them
    run.best_checkpoint.write_bytes(run.best_checkpoint.read_bytes())
    assert not opened().image


def test_damaged_and_missing_checkpoints_are_one_sentence(run):
    checkpoints = list(run.path.glob("*.pt"))
    for path in checkpoints:
        path.write_bytes(b"PK\x03\x04 half a file")
    at = opened()
    at.button[0].click().run()
    assert not at.exception
    assert "best.pt" in at.error[0].value.replace("\\", "")
    for path in checkpoints:
        path.unlink()
    at = opened()
    assert not at.exception
    assert not at.button


def test_other_classes_are_one_sentence(run, monkeypatch):
    def changed(*args, **options):
        data = load_dataset(*args, **options)
        return dataclasses.replace(data, classes=data.classes[::-1])

    monkeypatch.setattr(errors, "load_dataset", changed)
    at = asked()
    assert "other classes than shapes has now" in at.error[0].value
    assert not at.image


def fake(classes, confidence=0.5):
    labels = np.arange(8) % 2
    pictures = np.zeros((8, 3, 32, 32), np.uint8)
    return Predictions(classes, labels, 1 - labels, np.full(8, confidence, np.float32), pictures)


def test_names_by_users_are_no_markdown(run, monkeypatch):
    monkeypatch.setattr(errors, "measure", lambda *_: fake(("![x](http://a.b/c.png)", "<b>*d*</b>")))
    choose(monkeypatch, 0, 1)
    at = asked()
    shown = [element.value for element in at.markdown] + [image.captions[0] for image in at.image]
    assert len(at.image) == 4
    assert sum("a.b/c" in text for text in shown) == 5
    for text in shown:
        assert "![x]" not in text
        assert "<b>" not in text.replace("\\<", "")


def test_a_net_that_diverged_is_one_sentence(run, monkeypatch):
    monkeypatch.setattr(errors, "measure", lambda *_: fake(("a", "b"), np.nan))
    at = asked()
    assert "NaN" in at.error[0].value
    assert not at.image
