"""What the training page says and asks before a run starts."""

import json

import psutil
import pytest

from resnet_lab.runs import RunStore


def train_button(at):
    return next(button for button in at.button if button.label == "Train")


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with 100 MB free."""
    small = psutil.virtual_memory()._replace(available=100 * 10**6)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)


def test_a_step_that_does_not_fit_is_asked_about(open_page, little_memory, monkeypatch):
    monkeypatch.setattr("resnet_lab.runs.manager.RunManager._enqueue", lambda self, run, steps=None: None)
    at = open_page("training", model="resnet152", changes=json.dumps({"device": "cpu"}))
    assert not at.exception
    assert "needs about" in at.warning[0].value
    assert train_button(at).disabled
    at.checkbox(key="training.anyway").check().run()
    train_button(at).click().run()
    assert not at.exception
    assert len(RunStore().list()) == 1


def test_a_crop_larger_than_the_images_is_refused_on_the_page(open_page):
    changes = {"augmentation": {"crop_padding": 0, "crop_size": 64}}
    at = open_page("training", changes=json.dumps(changes))
    assert not at.exception
    assert "it may be at most 32" in at.error[0].value
    assert train_button(at).disabled


def test_a_usual_recipe_is_asked_nothing(open_page):
    at = open_page("training")
    assert not at.warning
    assert not at.checkbox
    assert not train_button(at).disabled
