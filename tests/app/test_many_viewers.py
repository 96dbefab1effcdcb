"""What all viewers of a run see is made once for each change of the run."""

import json
import shutil
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from resnet_lab.experiments import curves
from resnet_lab.figures.curves import curve_figure
from resnet_lab.runs import RunStore
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training.events import StepEvent
from resnet_lab.ui.common import live_curves
from resnet_lab.ui.common.runs import curve


@pytest.fixture
def run(trained):
    """A finished run that may be written to."""
    shutil.copytree(trained.path, RunStore().root / trained.id)
    return RunStore().get(trained.id)


@pytest.fixture
def made(monkeypatch):
    """The measure of each figure of curves, as it was made."""
    made, figure = [], live_curves.curve_figure

    def noted(shown, measure, *args, **options):
        made.append(measure)
        return figure(shown, measure, *args, **options)

    monkeypatch.setattr(live_curves, "curve_figure", noted)
    monkeypatch.setattr(curves, "curve_figure", noted)
    return made


def another_step(run):
    step = next(event for event in run.events()[0] if isinstance(event, StepEvent))
    writer = RunWriter(run)
    writer(step.replace(step=step.step + 1000))
    writer.close()
    live_curves._moment.clear()  # half a second later


def source_of(at):
    """What the page's live curves ask the server for."""
    (found,) = [
        data["source"]
        for each in at.get("bidi_component")
        if "source" in (data := json.loads(each.proto.json))
    ]
    return found


@pytest.fixture
def ask():
    """ask(source, **query) → what the server answers the browser."""
    client = TestClient(Starlette(routes=[Route("/live", live_curves.answer)]))

    def ask(source, **query):
        return client.get(f"/{source}", params={**dict(parse_qsl(urlsplit(source).query)), **query})

    return ask


def test_viewers_of_training_share_its_figures(open_page, ask, run, made):
    sources = [source_of(open_page("training", run=run.id)) for _ in range(3)]
    assert made == []  # a page only names them
    for source in sources:
        assert ask(source).status_code == 200
    assert made == ["loss", "accuracy"]
    live_curves._moment.clear()
    for source in sources:
        ask(source)
    assert made == ["loss", "accuracy"]  # nothing has changed
    another_step(run)
    for source in sources * 2:
        ask(source)
    assert made == ["loss", "accuracy"] * 2


def test_a_viewer_is_sent_what_is_new(open_page, ask, run):
    source = source_of(open_page("training", run=run.id))
    first = ask(source).json()
    names = [each["name"] for each in first["figures"]]
    another_step(run)
    second = ask(source, has=",".join(names)).json()
    for old, new, measure in zip(first["figures"], second["figures"], ("loss", "accuracy"), strict=True):
        assert (new["whole"], new["name"]) == (None, old["name"])
        shown = json.loads(old["whole"])
        for line, (start, x, y) in zip(shown["data"], new["added"], strict=True):
            line["x"][start:], line["y"][start:] = x, y
        assert shown == json.loads(curve_figure([curve(run)], measure, "epoch", 0.6).to_json())
    assert len(ask(source, has=",".join(names)).content) < 2_000
    assert ask(source, has="another,").json()["figures"][0]["whole"]


def test_how_far_runs_are_is_html_without_the_names_being_so(ask, run):
    run.rename("<script>alert(1)</script>")
    run.claim()
    run.set_status(state="running", step=3, total_steps=12)
    source = f"live?runs={run.id},{run.id}&measures=loss&axis=step&smoothing=0&numbers=1"
    head = ask(source).json()["head"]
    assert "<script>" not in head
    assert head.count("&lt;script&gt;") == 2
    assert head.count('<progress value="0.2500">') == 2
    assert "Images / s" in head
    run.release()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"measures": "loss,evil"}, 400),
        ({"axis": "time"}, 400),
        ({"smoothing": "nan"}, 400),
        ({"smoothing": "1"}, 400),
        ({"smoothing": ""}, 400),
        ({"runs": ",".join("a" * 13)}, 400),
        ({"measures": ",".join(["loss"] * 50)}, 400),
        ({"runs": "../../etc"}, 404),
        ({"runs": ""}, 404),
        ({"runs": "%00"}, 404),
    ],
)
def test_bad_questions(ask, run, change, status):
    asked = {"runs": run.id, "measures": "loss", "axis": "step", "smoothing": "0.5"} | change
    answer = ask("live", **asked)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_a_page_is_drawn_anew_when_more_than_points_has_come(open_page, run):
    run.claim()
    run.set_status(state="running", step=3, total_steps=12)
    at = open_page("training", run=run.id)
    assert any(button.label == "Stop" for button in at.button)
    run.set_status(state="completed")
    run.release()
    at.run()
    assert not any(button.label == "Stop" for button in at.button)


def test_viewers_of_a_comparison_share_its_report(open_page, run, made):
    for _ in range(3):
        at = open_page("comparison", runs=run.id)
        assert not at.exception
    assert made == ["error", "loss"]
    at.get_by_key("comparison.curves.smoothing").set_value(0.5).run()
    assert made == ["error", "loss"] * 2  # another look is another figure
    another_step(run)
    at.run()
    assert made == ["error", "loss"] * 3
