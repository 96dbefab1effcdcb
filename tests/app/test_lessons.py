"""The guided experiments: predict, run, see, read why, take along."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from resnet_lab.runs import RunStore, execute
from resnet_lab.ui.common import navigation
from resnet_lab.ui.home.lesson import export
from resnet_lab.ui.home.lessons import LESSONS

TRAINED = [key for key, lesson in LESSONS.items() if lesson.configs]


def words(at: AppTest) -> str:
    elements = [*at.markdown, *at.caption, *at.info, *at.success, *at.error, *at.subheader]
    return " ".join(element.value for element in elements)


def as_if_trained(config, tiny, accuracy):
    """A finished run of `config` with the records of a tiny one."""
    store = RunStore()
    small = store.create(tiny.replace(variant=config.variant, epochs=1))
    execute(small)
    run = store.create(config)
    for name in ("events.jsonl", "last.pt", "best.pt"):
        shutil.copy(small.path / name, run.path / name)
    run.set_status(state="completed", test_accuracy=accuracy, step=224, total_steps=224)
    store.delete(small)
    return run


def test_the_home_page_leads_to_every_lesson_and_back(open_page):
    at = open_page("home")
    assert {button.key for button in at.button} == {f"home.begin.{key}" for key in LESSONS}
    for key, lesson in LESSONS.items():
        at = open_page("home")
        at.button(key=f"home.begin.{key}").click().run()
        assert not at.exception
        assert at.header[0].value == lesson.title
    at.button[0].click().run()
    assert at.title[0].value == "ResNet Lab"


def test_an_unknown_lesson_is_said(open_page):
    at = open_page("home", lesson="nothing")
    assert "There is no experiment" in at.error[0].value


@pytest.mark.parametrize("key", TRAINED)
def test_nothing_can_be_run_before_a_prediction(open_page, key):
    at = open_page("home", lesson=key)
    assert [b.label for b in at.button] == ["All experiments"]
    at.radio[0].set_value(at.radio[0].options[0]).run()
    assert not at.exception
    assert "Run the experiment" in [b.label for b in at.button]


def test_the_experiment_starts_its_runs_in_one_race(open_page):
    at = open_page("home", lesson="shortcut")
    at.radio[0].set_value(at.radio[0].options[0]).run()
    next(b for b in at.button if b.label == "Run the experiment").click().run()
    assert not at.exception
    assert sorted(run.config.spec.name for run in RunStore().list()) == ["plain32", "resnet32"]
    navigation.manager().close(timeout=30)


def test_what_was_expected_stands_beside_what_was_measured(open_page, tiny):
    lesson = LESSONS["shortcut"]
    for config, accuracy in zip(lesson.configs, (0.277, 0.76), strict=True):
        as_if_trained(config, tiny, accuracy)
    at = open_page("home", lesson="shortcut")
    at.radio[0].set_value(lesson.choices[0]).run()
    assert not at.exception
    assert f"Measured: **{lesson.choices[3]}**" in at.info[0].value
    assert "+48.3 points" in words(at).replace("\\", "")
    at.radio[0].set_value(lesson.choices[3]).run()
    assert "You expected" in at.success[0].value


def test_where_it_looks_is_measured_on_the_readers_net(open_page, tiny):
    lesson = LESSONS["looking"]
    as_if_trained(lesson.configs[0], tiny, 0.5)
    at = open_page("home", lesson="looking")
    at.radio[0].set_value(lesson.choices[0]).run()
    assert not at.exception
    assert "a random place" in list(at.dataframe[0].value["pointing at"])


def test_a_lost_checkpoint_is_said_in_the_lesson(open_page, tiny):
    run = as_if_trained(LESSONS["looking"].configs[0], tiny, 0.5)
    for path in run.path.glob("*.pt"):
        path.unlink()
    at = open_page("home", lesson="looking")
    at.radio[0].set_value(at.radio[0].options[0]).run()
    assert not at.exception
    assert "no checkpoint" in at.error[0].value


def test_the_file_to_take_along_tells_the_whole_story(tiny, monkeypatch):
    monkeypatch.setattr("resnet_lab.ui.home.lessons.is_dark", lambda: False)
    lesson = LESSONS["degradation"]
    runs = [as_if_trained(config, tiny, 0.5) for config in lesson.configs]
    page = export(lesson, lesson.choices[1], lesson.find(runs))
    for text in (lesson.title, lesson.question, "Expected: Neither", "training error, last epoch", "Fig. 1"):
        assert text in page
    assert "Plotly.newPlot" in page


def test_gradients_are_measured_without_any_run(open_page):
    at = open_page("home", lesson="gradients")
    at.radio[0].set_value(at.radio[0].options[2]).run()
    assert not at.exception
    assert "More than ten times" in at.success[0].value
    assert not RunStore().list()


def test_lesions_are_measured_on_both_nets(open_page, tiny, monkeypatch):
    monkeypatch.setattr("resnet_lab.ui.home.lessons.LESIONED", 50)
    lesson = LESSONS["lesion"]
    for config in lesson.configs:
        as_if_trained(config, tiny.replace(train_limit=32, batch_size=16), 0.5)
    at = open_page("home", lesson="lesion")
    at.radio[0].set_value(lesson.choices[0]).run()
    assert not at.exception
    assert "resnet56 loses" in words(at)


def test_the_cheat_is_caught_by_its_map(open_page, tiny):
    lesson = LESSONS["cheat"]
    as_if_trained(lesson.configs[0], tiny, 0.1)
    at = open_page("home", lesson="cheat")
    at.radio[0].set_value(lesson.choices[0]).run()
    assert not at.exception
    assert "in the marked corner" in words(at)
