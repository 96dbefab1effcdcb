"""Recipes: restored by a link, saved and opened as JSON, taken over from a run."""

import json

import pytest

from resnet_lab.models import ModelSpec
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
    at.number_input(key="training.more.clip_norm").set_value(0.5).run()
    at.selectbox(key="training.more.channels_last").set_value(True).run()
    at.text_input(key="training.more.test_scales").set_value("32, 48").run()
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
    next(b for b in at.button if b.label == "Use its recipe").click().run()
    assert not at.exception
    assert at.selectbox(key="training.more.optimizer").value == "adamw"
    assert submitted(at) == config


OWN = ModelSpec("x" * 200, blocks=(1, 2), width=8, num_classes=7)
RECIPES_OF_OTHERS = {
    "whole numbers where fractions are meant": {"clip_norm": 1, "weight_decay": 0, "lr": 1},
    "near the ends": {"label_smoothing": 0.95, "augmentation": {"crop_padding": 100, "colour_jitter": 1}},
    "an enlarged crop": {"augmentation": {"scale_jitter": [1.25, 1.875], "crop_size": 48}, "image_size": 64},
    "enlarged by one": {"augmentation": {"scale_jitter": [1, 1]}},
    "a folder": {"dataset": "folder:some/where", "image_size": 40, "test_scales": [40, 56]},
    "a net of one's own": {"variant": OWN.to_dict(), "epochs": 3},
    "a net that takes a variant's name": {"variant": {"name": "resnet20", "width": 8}},
    "milestones": {"schedule": "multistep", "milestones": [1, 2.5], "gamma": 1},
    "what the form does not show": {"device": "cpu", "sync_bn": True, "optimizer": "adam", "momentum": 0.5},
    "digits": {"lr": 0.1234567890123, "val_fraction": 1 / 3, "checkpoint_minutes": 0.05},
}


@pytest.mark.parametrize("door", ["file", "link"])
@pytest.mark.parametrize("name", RECIPES_OF_OTHERS)
def test_a_recipe_that_is_opened_trains_exactly_as_it_says(open_page, never_trained, name, door):
    changes = RECIPES_OF_OTHERS[name]
    config = TrainConfig.from_dict(RECIPES["quick"].to_dict() | changes)
    if door == "file":
        at = open_page("training")
        file = ("recipe.json", config.to_json().encode(), "application/json")
        at.file_uploader[0].set_value([file]).run()
    else:
        at = open_page("training", changes=json.dumps(changes))
    assert not at.exception
    opened = submitted(at)
    if opened.spec.name == "my_resnet20":  # it must not be taken for the variant
        opened = opened.replace(variant=opened.spec.replace(name="resnet20"))
    assert opened == config
    at.number_input(key="training.more.seed").set_value(5).run()
    assert submitted(at).replace(seed=0) == at_variant(opened, config)


def at_variant(opened, config):
    """The form goes on to call a net by the name that it has given it."""
    is_renamed = opened.spec.name == "resnet20" and isinstance(config.variant, ModelSpec)
    return config.replace(variant=config.spec.replace(name="my_resnet20")) if is_renamed else config


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "not text in UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"augmentation": ' + b"[" * 900 + b"]" * 900 + b"}", "augmentation is"),
        (b'{"lr": ' + b"9" * 400 + b"}", "lr is 9999"),
        (b'{"lr": 1e400}', "lr is inf"),
        (b'{"epochs": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"epochs": NaN}', "epochs is nan"),
        (b'{"dataset": "\\ud800"}', "this is not text in UTF-8"),
        (b'{"variant": {"width": 1e400}}', "variant: width is inf"),
        (b'{"variant": {"layers": 3}}', "unknown field 'layers'"),
        (b'{"augmentation": {"flip": 1}}', "augmentation: flip is 1; it may be true or false"),
        (b'{"dataset": "imagenet"}', "dataset is 'imagenet'; it may be shapes"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(open_page, content, sentence):
    at = open_page("training")
    at.file_uploader[0].set_value([("recipe.json", content, "application/json")]).run()
    assert not at.exception
    (error,) = at.error
    said = error.value.replace("\\", "").replace("\u2060", "")
    assert sentence in said
    assert len(said) < 500
    assert not next(b for b in at.button if b.label == "Train").disabled


def test_start_again_is_a_new_run_of_the_same_config(open_page, never_trained, tiny):
    run = RunStore().create(tiny)
    run.set_status(state="stopped")
    at = open_page("training", run=run.id)
    next(b for b in at.button if b.label == "Start again").click().run()
    runs = RunStore().list()
    assert len(runs) == 2
    assert runs[0].config == runs[1].config == tiny
    assert at.session_state["shared"].run != run.id
