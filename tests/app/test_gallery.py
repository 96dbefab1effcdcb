"""A fresh copy of the lab: nothing has been trained, and there is something to look at on every page."""

import pytest
from streamlit.testing.v1 import AppTest

from resnet_lab.runs import RunStore
from resnet_lab.ui.common import navigation
from resnet_lab.ui.home.lessons import LESSONS

pytestmark = pytest.mark.usefixtures("recorded")


def words(at: AppTest) -> str:
    elements = [*at.markdown, *at.caption, *at.info, *at.success, *at.warning, *at.error]
    return " ".join(element.value.replace("\\", "") for element in elements)


@pytest.mark.parametrize("page", navigation.PAGES)
def test_no_page_is_empty(open_page, page):
    at = open_page(page)
    assert not at.exception
    assert not at.error
    assert not [info for info in at.info if "has been trained" in info.value or "no runs" in info.value]


def test_prediction_shows_an_image_its_class_and_its_map_without_a_click(open_page):
    at = open_page("prediction")
    assert at.selectbox(key="net").value == "cifar10-resnet20"
    assert "Grad-CAM over the image" in [image.captions[0] for image in at.image]
    assert "Predicted: **cat**" in words(at)
    at.selectbox(key="prediction.shown").set_value(1).run()
    assert not at.exception
    assert "Coffee" in words(at)


def test_a_lesson_opens_with_what_was_recorded_behind_the_prediction(open_page, recorded):
    at = open_page("home", lesson="shortcut")
    assert "Run it here" not in [button.label for button in at.button]
    at.radio[0].set_value(at.radio[0].options[0]).run()
    assert not at.exception
    assert "Run it here" in [button.label for button in at.button]
    assert "You expected" in words(at)
    assert "On runs recorded on" in words(at)
    assert "resnet32 (recorded)" in at.dataframe[0].value["net"].tolist()
    assert RunStore().list() == []


def test_every_lesson_has_its_recordings(recorded):
    configs = {run.config for run in recorded}
    missing = {name for name, lesson in LESSONS.items() for config in lesson.configs if config not in configs}
    assert missing == set()


def test_training_shows_a_recorded_run_that_can_only_be_made_anew(open_page, recorded):
    at = open_page("training")
    assert "Recorded" in words(at)
    assert f"Made anew by `python -m benchmarks.gallery {recorded[0].id}`" in words(at)
    labels = {button.label for button in at.button}
    assert {"Start again", "Use its recipe"} <= labels
    assert not {"Resume", "Extend", "One step", "Stop", "Pause"} & labels


def test_its_recipe_fills_the_form(open_page):
    at = open_page("training", run="watermark-resnet20")
    next(button for button in at.button if button.label == "Use its recipe").click().run()
    assert not at.exception
    assert at.selectbox(key="dataset").value == "shapes_watermark"


def test_comparison_begins_with_a_recorded_pair(open_page):
    at = open_page("comparison")
    assert at.multiselect(key="runs").value == ["shapes-resnet56", "shapes-plain56"]
    at = open_page("comparison", experiment="Depth")
    assert not at.exception
    assert "that came with the lab" in words(at)


def test_the_readers_own_runs_come_first(open_page, trained, monkeypatch):
    monkeypatch.setenv("RESNET_LAB_RUNS", str(trained.path.parent))
    assert open_page("prediction").selectbox(key="net").value == trained.id
    assert open_page("comparison").multiselect(key="runs").value == [trained.id]
    assert trained.config.title in words(open_page("training"))


def test_they_can_be_hidden(open_page):
    at = open_page("runs")
    assert "came with the lab" in words(at)
    at.toggle(key="runs.hide").set_value(True).run()
    assert "There are no runs yet." in words(at)
    at.switch_page("pages/training.py").run()
    assert "Nothing has been trained yet" in words(at)
    at.switch_page("pages/home.py")
    at.query_params["lesson"] = "shortcut"
    at.run()
    at.radio[0].set_value(at.radio[0].options[0]).run()
    assert "Run the experiment" in [button.label for button in at.button]
    assert "You expected" not in words(at)
    at.switch_page("pages/runs.py").run()
    assert at.toggle(key="runs.hide").value
    at.toggle(key="runs.hide").set_value(False).run()
    assert "came with the lab" in words(at)


def test_lesion_opens_on_the_recorded_pair(open_page):
    at = open_page("comparison", experiment="Lesion")
    assert not at.exception
    assert not at.error
    assert "resnet56, seed 0, recorded" in words(at)
    assert "plain56, seed 0, recorded" in words(at)
