"""Every page without a browser: it runs, says what to do when empty, and answers bad input with a sentence."""

import json

import pytest

from resnet_lab.runs import RunStore, execute
from resnet_lab.runs.archive import pack
from resnet_lab.training import RECIPES
from resnet_lab.ui.common import navigation

PAGES = ["home", "architecture", "training", "comparison", "prediction", "runs"]


def words(at):
    elements = [*at.markdown, *at.caption, *at.info, *at.error, *at.warning, *at.title]
    return " ".join(element.value for element in elements).replace("\\", "")  # of Markdown


@pytest.mark.parametrize("page", PAGES)
def test_page_runs_on_an_empty_lab(open_page, page):
    at = open_page(page)
    assert not at.exception
    assert len(at.title) == 1


@pytest.mark.parametrize(
    ("page", "advice"),
    [("training", "Press **Train**"), ("comparison", "Race"), ("runs", "There are no runs yet")],
)
def test_an_empty_page_says_what_to_do(open_page, page, advice):
    assert advice in words(open_page(page))


@pytest.fixture
def finished(tiny):
    store = RunStore()
    runs = [store.create(tiny.replace(variant=name, epochs=1)) for name in ("resnet20", "plain20")]
    for run in runs:
        execute(run)
    return runs


def test_training_page_shows_a_finished_run(open_page, finished):
    at = open_page("training", run=finished[0].id)
    assert not at.exception
    text = words(at)
    assert "resnet20 on shapes" in text
    assert "140 training and 20 validation images" in text
    assert any(b.label == "Try it on an image" for b in at.button)
    assert not any(b.label == "Stop" for b in at.button)


def test_train_button_starts_a_run_that_completes(open_page):
    at = open_page("training")
    at.number_input(key="epochs").set_value(1)
    at.number_input(key="training.more.train_limit").set_value(160)
    at.number_input(key="training.more.batch_size").set_value(16)
    next(b for b in at.button if b.label == "Train").click().run()
    assert not at.exception
    (run,) = RunStore().list()
    assert (run.config.epochs, run.config.train_limit, run.config.batch_size) == (1, 160, 16)
    manager = navigation.manager()
    while run.status.is_active:
        manager._threads[0].join(0.1)
    assert run.status.state == "completed"
    manager.close()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("lr", 0.0, "lr is 0.0; it may be a number above 0"),
        ("training.more.momentum", 1.0, "momentum is 1.0; it may be a number from 0 to below 1"),
        ("training.more.clip_norm", 0.0, "clip_norm is 0.0; it may be a number above 0 and up to"),
        ("training.more.enlarge_from", 1.5, "augmentation: scale_jitter is (1.5, None); it may be a list"),
        ("training.more.backbone_lr", 0.0, "backbone_lr is 0 with fresh weights"),
    ],
)
def test_an_impossible_recipe_is_one_sentence_and_cannot_be_trained(open_page, key, value, sentence):
    at = open_page("training")
    at.number_input(key=key).set_value(value).run()
    assert sentence in words(at)
    assert next(b for b in at.button if b.label == "Train").disabled
    assert not at.exception


@pytest.mark.parametrize(
    ("key", "limits"),
    [
        ("epochs", (1, 100_000)),
        ("lr", (0.0, 1e4)),
        ("training.more.batch_size", (2, 65_536)),
        ("training.more.image_size", (16, 512)),
        ("training.more.label_smoothing", (0.0, 1.0)),
        ("training.more.crop_padding", (0, 1024)),
    ],
)
def test_the_forms_limits_are_the_schemas(open_page, key, limits):
    box = open_page("training").number_input(key=key)
    assert (box.min, box.max) == limits


def test_milestones_are_typed_or_stand_at_half_and_three_quarters(open_page):
    at = open_page("training", epochs="8")
    at.selectbox(key="training.more.schedule").set_value("multistep").run()
    assert not at.error
    assert json.loads(at.query_params["changes"])["milestones"] == [4.0, 6.0]
    at.text_input(key="training.more.milestones").set_value("2, soon").run()
    assert "milestones is (2, 'soon'); it may be a list" in words(at)
    at.text_input(key="training.more.milestones").set_value("2, 3.5").run()
    assert not at.error


def test_a_recipe_sets_the_form(open_page):
    at = open_page("training")
    at.selectbox(key="recipe").set_value("tutorial").run()
    assert at.selectbox(key="model").value == "tutorial_resnet50"
    assert at.selectbox(key="dataset").value == "cifar10"
    assert at.number_input(key="lr").value == 0.001
    assert at.selectbox(key="training.more.optimizer").value == "adam"
    at.selectbox(key="recipe").set_value("quick").run()
    assert (at.selectbox(key="model").value, at.number_input(key="lr").value) == (
        "resnet20",
        RECIPES["quick"].lr,
    )


def test_a_link_sets_the_form(open_page):
    at = open_page("training", model="plain32", dataset="folder", folder="some/where", epochs="7", lr="0.02")
    assert (at.selectbox(key="model").value, at.selectbox(key="dataset").value) == ("plain32", "folder")
    assert (at.text_input(key="folder").value, at.number_input(key="epochs").value) == ("some/where", 7)
    assert at.number_input(key="lr").value == 0.02


@pytest.mark.parametrize(("page", "name"), [("training", "dataset"), ("comparison", "data")])
def test_a_link_with_the_former_name_of_a_data_set(open_page, page, name):
    at = open_page(page, **{name: "shapes_shortcut"})
    assert not at.exception
    assert at.selectbox(key=name).value == "shapes_watermark"


def test_a_run_that_failed_says_why(open_page, tiny):
    run = RunStore().create(tiny.replace(dataset="folder:/no*where*"))
    execute(run)
    at = open_page("training", run=run.id)
    assert not at.exception
    (message,) = [error.value for error in at.error]
    assert "/no\\*where\\*" in message  # Markdown in a user's words is switched off


def test_a_link_to_a_deleted_run_says_so(open_page):
    assert "no run 'gone'" in words(open_page("training", run="gone"))


def test_comparison_shows_the_newest_pair(open_page, finished):
    at = open_page("comparison")
    assert not at.exception
    assert at.multiselect(key="runs").value == [run.id for run in finished]
    assert list(at.dataframe[0].value["run"]) == ["resnet20 on shapes", "plain20 on shapes"]


def test_race_button_queues_matched_nets_of_every_depth_kind_and_seed(open_page):
    at = open_page("comparison")
    at.multiselect(key="depths").set_value(["20"]).run()
    at.number_input(key="seeds").set_value(2).run()
    button = next(b for b in at.button if "Race" in b.label)
    assert button.label == "Race 4 nets"
    button.click().run()
    assert not at.exception
    runs = RunStore().list()
    navigation.manager().close(timeout=30)
    assert sorted((run.config.spec.name, run.config.seed) for run in runs) == [
        ("plain20", 0), ("plain20", 1), ("resnet20", 0), ("resnet20", 1),
    ]  # fmt: skip
    assert len({run.config.replace(variant="plain20", seed=0) for run in runs}) == 1
    assert set(at.multiselect(key="runs").value) == {run.id for run in runs}


@pytest.mark.parametrize(
    ("depths", "says"), [(["21"], "6n \\+ 2"), (["many"], "a whole number"), ([], "at least one depth")]
)
def test_a_depth_that_does_not_fit_is_said_and_the_page_goes_on(open_page, finished, depths, says):
    at = open_page("comparison")
    at.multiselect(key="depths").set_value(depths).run()
    assert not at.exception
    assert says in at.error[0].value
    assert next(b for b in at.button if "Race" in b.label).disabled
    assert len(at.dataframe[0].value) == 2


def test_runs_that_differ_in_more_than_shortcuts_are_told_apart(open_page, finished):
    at = open_page("comparison")
    assert not at.warning
    store = RunStore()
    other = store.create(finished[0].config.replace(lr=0.5, epochs=7))
    other.set_status(state="stopped")
    at.multiselect(key="runs").set_value([finished[0].id, other.id]).run()
    assert "lr" in at.warning[0].value
    assert "epochs" in at.warning[0].value


def test_the_degradation_figure_counts_finished_runs(open_page, finished):
    at = open_page("comparison", experiment="Depth")
    assert not at.exception
    assert "2 finished runs" in words(at)


def test_runs_page_lists_and_removes_damaged_runs(open_page, finished):
    (finished[1].path / "config.json").write_text("{")
    at = open_page("runs")
    assert len(at.dataframe[0].value) == 1
    assert "config.json is missing or damaged" in words(at).replace("\\", "")
    at.button(key=f"runs.remove.{finished[1].id.encode().hex()}").click().run()
    assert not finished[1].path.exists()
    assert finished[0].path.exists()


def test_a_range_test_proposes_a_rate_and_the_form_takes_it(open_page, monkeypatch):
    monkeypatch.setattr("resnet_lab.training.range_test.STEPS", 40)
    at = open_page("training", recipe="quick")
    at.number_input(key="training.more.batch_size").set_value(16).run()
    at.number_input(key="training.more.train_limit").set_value(400).run()
    next(button for button in at.button if button.label == "Test").click().run()
    assert not at.exception
    use = next(button for button in at.button if button.label.startswith("Use "))
    use.click().run()
    assert at.number_input(key="lr").value == float(use.label.removeprefix("Use "))
    assert at.get("plotly_chart")  # it stays, although the rate has changed


def import_run(at, name, data):
    at.file_uploader(key="runs.archive").set_value((name, data, "application/zip")).run()
    return next(button for button in at.button if button.label == "Import this run").click().run()


def test_a_run_of_another_lab_is_imported(open_page, finished):
    at = import_run(open_page("runs"), "run.zip", pack(finished[0]))
    assert not at.exception
    assert len(RunStore().list()) == 3


def test_a_zip_file_that_is_no_run_is_said(open_page, finished):
    at = import_run(open_page("runs"), "photos *1*.zip", b"PK")
    assert [error.value.replace("\\", "") for error in at.error] == [
        "photos *1*.zip is no run of this lab as a zip file (File is not a zip file)."
    ]
    assert len(RunStore().list()) == 2
