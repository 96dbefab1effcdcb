"""Recipes: restored by a link, saved and opened as JSON, taken over from a run."""

import json

import pytest

from resnet_lab.runs import RunStore
from resnet_lab.training import RECIPES, TrainConfig


def submitted(at):
    """The config of the run that Train queues now."""
    known = {run.id for run in RunStore().list()}
    next(b for b in at.button if b.label == "Train").click().run()
    return next(run for run in RunStore().list() if run.id not in known).config


@pytest.fixture
def never_trained(monkeypatch):
    """Runs stay queued."""
    monkeypatch.setattr("resnet_lab.runs.manager.RunManager._enqueue", lambda self, run, steps=None: None)


@pytest.mark.parametrize("name", RECIPES)
def test_the_form_gives_each_recipe_unchanged(open_page, never_trained, name):
    at = open_page("training", recipe=name)
    assert submitted(at) == RECIPES[name]
    assert "changes" not in at.query_params


def test_every_change_comes_back_from_the_link(open_page, never_trained):
    at = open_page("training")
    at.number_input(key="more.clip").set_value(0.5).run()
    at.selectbox(key="more.channels_last").set_value(True).run()
    at.text_input(key="more.scales").set_value("32, 48").run()
    link = json.loads(at.query_params["changes"])
    assert link == {"clip_norm": 0.5, "channels_last": True, "test_scales": [32, 48]}
    again = open_page("training", changes=json.dumps(link))
    expected = RECIPES["quick"].replace(clip_norm=0.5, channels_last=True, test_scales=(32, 48))
    assert submitted(again) == expected


@pytest.mark.parametrize(
    "changes", ["no json", '{"clip_norm": -1}', '{"layers": 3}', "[1]", '{"milestones": 3}']
)
def test_a_damaged_link_is_one_sentence(open_page, changes):
    at = open_page("training", changes=changes)
    assert not at.exception
    assert "The changes in this link cannot be read" in at.error[0].value
    assert not next(b for b in at.button if b.label == "Train").disabled


def test_a_run_gives_its_recipe_to_the_form(open_page, never_trained):
    config = TrainConfig(
        "plain32",
        "folder:some/where",
        epochs=7,
        lr=0.03,
        optimizer="adamw",
        deterministic=True,
        image_size=48,
    )
    run = RunStore().create(config)
    run.set_status(state="stopped")
    at = open_page("training", run=run.id)
    next(b for b in at.button if b.label == "Take its recipe").click().run()
    assert not at.exception
    assert at.selectbox(key="more.optimizer").value == "adamw"
    assert submitted(at) == config


def test_start_again_is_a_new_run_of_the_same_config(open_page, never_trained, tiny):
    run = RunStore().create(tiny)
    run.set_status(state="stopped")
    at = open_page("training", run=run.id)
    next(b for b in at.button if b.label == "Start again").click().run()
    runs = RunStore().list()
    assert len(runs) == 2
    assert runs[0].config == runs[1].config == tiny
    assert at.session_state["shared"].run != run.id
