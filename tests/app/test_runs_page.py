"""The Runs page: found by a filter, laid beside each other, edited, deleted and had back."""

import shutil
from collections import Counter

import pytest
from streamlit.testing.v1 import AppTest

from resnet_lab.runs import RunStore, files
from resnet_lab.runs.notes import Notes
from resnet_lab.runs.trash import Trash
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import EpochEvent, Started
from tests.made import made

EDIT = """
from resnet_lab.runs import RunStore
from resnet_lab.ui.runs.edit import edit
edit([RunStore().get(run_id) for run_id in "{}".split(",")])
"""
CLEAN_UP = """
from resnet_lab.runs import RunStore
from resnet_lab.ui.runs.clean_up import clean_up
clean_up(RunStore().list())
"""
ODD = "<b>bold</b> [x](http://example.org) :tada:"


@pytest.fixture
def sweep():
    """Three seeds of one recipe, and one run with another learning rate."""
    runs = [made(seed=seed, test=0.6 + 0.1 * seed, tags=["homework"]) for seed in range(3)]
    return [*runs, made("high", lr=0.5, accuracies=(0.25, 0.125))]


@pytest.fixture
def finished_pair(trained):
    """Two runs whose checkpoints can be read."""
    store = RunStore()
    for name in ("20260101-000000-a-0000", "20260101-000000-b-0000"):
        shutil.copytree(trained.path, store.root / name)
    return [store.get(name) for name in ("20260101-000000-a-0000", "20260101-000000-b-0000")]


def words(at):
    elements = [*at.markdown, *at.caption, *at.info, *at.success, *at.warning, *at.error, *at.text]
    return " ".join(element.value for element in elements).replace("\\", "")


def press(at, label):
    next(button for button in at.button if button.label == label).click().run()
    assert not at.exception
    return at


def shown(at):
    return at.dataframe[0].value


def selected(open_page, runs, **query):
    return open_page("runs", selected=",".join(run.id for run in runs), **query)


def link(at):
    """The ids that stand in it."""
    (said,) = (
        at.query_params.get("selected", [""])
        if isinstance(at.query_params.get("selected"), list)
        else [at.query_params.get("selected", "")]
    )
    return said.split(",") if said else []


def dialog(call):
    """The body of a dialog, which AppTest shows but cannot press: opened anew at each rerun it can be."""
    return AppTest.from_string(f"{call}\n", default_timeout=60).run()


def test_a_row_has_the_curve_what_differs_and_how_it_ended(open_page, sweep):
    table = shown(open_page("runs"))
    assert list(table.columns) == [
        "name", "curve", "validation", "test", "state", "tags", "net", "dataset", "lr", "seed",
        "started", "progress", "note",
    ]  # fmt: skip
    high = table[table["name"] == "high"].iloc[0]
    assert list(high["curve"]) == [25.0, 12.5]
    assert (high["lr"], high["validation"], high["test"], high["progress"]) == (0.5, 25.0, 70.0, 1.0)
    assert sorted(table["seed"]) == [0, 0, 1, 2]
    assert {name: list(tags) for name, tags in zip(table["name"], table["tags"], strict=True)} == {
        "high": [], "resnet20 on shapes": ["homework"],
    }  # fmt: skip


def test_any_setting_and_figure_can_be_a_column(open_page, sweep):
    at = open_page("runs", columns=["momentum", "minutes", "blocks", "hardware"])
    table = shown(at)
    assert list(table.columns[6:-3]) == ["momentum", "minutes", "blocks", "hardware"]
    assert list(table.iloc[0][["momentum", "minutes", "blocks", "hardware"]]) == [
        0.9,
        0.1,
        "3, 3, 3",
        "a CPU",
    ]
    at.multiselect(key="columns").set_value(["test_loss", "nesterov"]).run()
    assert list(shown(at).iloc[0][["test_loss", "nesterov"]]) == [0.9, "yes"]
    offered = at.multiselect(key="columns").options
    assert {*TrainConfig().flat()} <= {*offered, "net"}


def test_the_filter_stands_in_the_link(open_page, sweep):
    at = open_page("runs", filter="tag = homework test >= 70")
    assert sorted(shown(at)["seed"]) == [1, 2]
    at.text_input(key="filter").set_value("high").run()
    assert list(shown(at)["name"]) == ["high"]
    at.text_input(key="filter").set_value("test > 99").run()
    assert "No run matches this filter." in words(at)
    assert not at.dataframe


def test_a_filter_that_cannot_be_read_is_said_and_hides_nothing(open_page, sweep):
    at = open_page("runs", filter="lrr > *1*")
    assert [warning.value.replace("\\", "") for warning in at.warning] == [
        "This filter cannot be read: there is no “lrr”; perhaps “lr” is meant."
    ]
    assert len(shown(at)) == 4


def test_a_link_restores_the_selection_and_a_filter_keeps_what_it_shows_of_it(open_page, sweep):
    at = selected(open_page, [sweep[3], sweep[0]])
    assert set(link(at)) == {sweep[3].id, sweep[0].id}
    assert not next(button for button in at.button if button.label == "Compare").disabled
    at.text_input(key="filter").set_value("high").run()
    assert link(at) == [sweep[3].id]
    at = selected(open_page, [])
    assert "selected" not in at.query_params


def test_runs_side_by_side_seeds_pooled_and_told_apart(open_page, sweep):
    at = selected(open_page, sweep)
    results, seeds, settings, conditions = (each.value for each in at.dataframe[1:])
    name = "resnet20 on shapes"
    assert sorted(results["run"]) == ["high", *(f"{name}, seed {seed}" for seed in range(3))]
    assert seeds.iloc[0].to_dict() == {
        "runs": name, "seeds": 3, "mean test (%)": 70.0, "standard deviation": 10.0, "lowest (%)": 60.0,
        "highest (%)": 80.0,
    }  # fmt: skip
    told = {row["run"]: (row["lr"], row["seed"]) for _, row in settings.iterrows()}
    assert told == {"high": ("0.5", "0")} | {f"{name}, seed {seed}": ("0.1", f"{seed}") for seed in range(3)}
    assert set(conditions["device"]) == {"a CPU"}
    assert "The same in all: net resnet20, dataset shapes, epochs 2" in words(at)
    assert "homework" in words(at)


def test_words_of_people_are_plain_text(open_page):
    run = made(ODD)
    run.annotate(Notes((ODD[:40],), f"{ODD}\n# heading"))
    at = selected(open_page, [run])
    assert shown(at)["name"][0] == ODD
    assert shown(at)["note"][0] == f"{ODD}\n# heading"
    paragraphs = [each.value for each in at.markdown]
    assert "\\# heading" in paragraphs
    assert not any("<b>" in text.replace("\\<", "") for text in paragraphs)


def test_name_tags_and_note_of_one_run(open_page, sweep):
    at = dialog(EDIT.format(sweep[3].id))
    at.text_input[-1].set_value("very high")
    at.multiselect[-1].set_value(["homework", "diverges"])
    at.text_area[0].set_value("Too much.\n")
    press(at, "Save")
    run = RunStore().get(sweep[3].id)
    assert (run.name, run.notes) == ("very high", Notes(("homework", "diverges"), "Too much."))
    assert "Too much." in list(shown(open_page("runs"))["note"])


def test_tags_of_several_runs_at_once(open_page, sweep):
    at = dialog(EDIT.format(",".join(run.id for run in sweep)))
    add, remove = at.multiselect[-2:]
    add.set_value(["week 3"])
    remove.set_value(["homework"])
    press(at, "Save")
    assert {run.notes.tags for run in RunStore().list()} == {("week 3",)}


def test_what_is_deleted_can_be_had_back(open_page, sweep):
    at = press(selected(open_page, sweep[:2]), "Delete")
    assert len(RunStore().list()) == 2
    assert "Deleted 2 runs." in words(at)
    assert "selected" not in at.query_params
    press(at, "Undo")
    assert {run.id for run in RunStore().list()} == {run.id for run in sweep}
    assert "Deleted" not in words(at)


def test_a_run_that_goes_on_stays_and_so_do_those_with_it(open_page, sweep):
    sweep[0].set_status(state="running")
    sweep[0].claim()
    at = press(selected(open_page, sweep), "Delete")
    sweep[0].release()
    assert [error.value.replace("\\", "") for error in at.error] == [
        f"{sweep[0].id} is still running; stop it first."
    ]
    assert len(RunStore().list()) == 4


def test_recorded_runs_cannot_be_changed(open_page, recorded):
    at = selected(open_page, recorded[:2])
    disabled = {button.label: button.disabled for button in at.button}
    assert disabled["Edit"]
    assert disabled["Delete"]
    assert not disabled["Compare"]


def test_clean_up_asks_and_says_what_it_freed(finished_pair):
    kept, deleted = finished_pair
    trash = Trash(RunStore())
    trash.put([deleted])
    at = dialog(CLEAN_UP)
    labels = [box.label for box in at.checkbox]
    assert labels[0].startswith("Last checkpoints of 1 completed run:")
    assert labels[1].startswith("Deleted runs: ")
    assert (kept.path / "last.pt").exists()
    freed = (kept.path / "last.pt").stat().st_size + trash.bytes
    press(at, "Delete permanently")
    assert [message.value for message in at.success] == [f"{freed / 1e6:.1f} MB freed."]
    assert trash.batches() == []
    assert sorted(path.name for path in kept.path.glob("*.pt")) == ["best.pt"]
    assert "There is nothing to clean up." in words(dialog(CLEAN_UP))


def test_clean_up_takes_what_is_ticked_alone_and_brings_back_what_was_deleted(finished_pair):
    kept, deleted = finished_pair
    Trash(RunStore()).put([deleted])
    at = dialog(CLEAN_UP)
    for box in at.checkbox:
        box.uncheck()
    at.run()
    assert next(button for button in at.button if button.label == "Delete permanently").disabled
    press(at, "Restore")
    assert {run.id for run in RunStore().list()} == {kept.id, deleted.id}
    assert (kept.path / "last.pt").exists()


def test_a_run_that_was_cleaned_up_says_why_it_cannot_be_extended(open_page, finished_pair):
    run = finished_pair[0]
    (run.path / "last.pt").unlink()
    at = press(open_page("training", run=run.id), "Extend")
    assert "cannot go on: only its best weights were kept; start a new run instead." in words(at)


def test_each_file_of_a_run_is_read_once_a_rerun_and_its_log_once_in_all(open_page, monkeypatch):
    for i in range(30):
        made(f"run {i}", seed=i)
    read = Counter()
    opener = files._without_waiting

    def noted(path, flags):
        read[path] += 1
        return opener(path, flags)

    at = open_page("home")
    monkeypatch.setattr(files, "_without_waiting", noted)
    at.switch_page("pages/runs.py").run()
    assert len(shown(at)) == 30
    names = Counter(str(path).rpartition("/")[2] for path in read)
    assert names["events.jsonl"] == names["status.json"] == names["name.txt"] == 30
    assert set(read.values()) == {1}
    read.clear()
    at.text_input(key="filter").set_value('"run 7"').run()
    assert len(shown(at)) == 1
    assert set(read.values()) == {1}
    assert not any(str(path).endswith(("events.jsonl", "config.json")) for path in read)


def test_the_curve_follows_a_run_that_grows(open_page):
    run = made(accuracies=(0.5,))
    at = open_page("runs")
    assert [list(curve) for curve in shown(at)["curve"]] == [[50.0]]
    writer = RunWriter(run)
    writer(Started(2, 4, 2, 90, 10, 269_722, "a CPU", "float32"))
    writer(EpochEvent(2, 4, 1.0, 0.4, 2.0, 0.625, 6.0))
    writer.close()
    at.run()
    assert [list(curve) for curve in shown(at)["curve"]] == [[50.0, 62.5]]
