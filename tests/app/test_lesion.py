"""The lesion view: what it shows is what the nets answer, and it goes on without what is missing."""

import threading

import pytest
import torch
from streamlit.testing.v1 import AppTest

from resnet_lab.analysis.lesions import accuracy, lesioned
from resnet_lab.analysis.records import Lesion
from resnet_lab.data import load_dataset, normalize
from resnet_lab.runs import load_run_model
from resnet_lab.ui.common.jobs import Job

pytestmark = pytest.mark.usefixtures("one_thread")
PICTURES = 100


@pytest.fixture
def runs(monkeypatch, saved):
    """resnet20 and plain20 with running statistics of the images, and a residual net of another depth."""

    def few(*args, **options):
        return load_dataset(*args, **options | {"limit": PICTURES})

    monkeypatch.setattr("resnet_lab.experiments.subjects.load_dataset", few)
    return [saved(name, PICTURES) for name in ("resnet20", "plain20", "resnet32")]


def page():
    import streamlit as st

    from resnet_lab.runs import RunStore
    from resnet_lab.ui.comparison.lesion import lesion_view

    lesion_view([RunStore().get(name) for name in st.session_state["chosen"]])


def opened(*chosen):
    at = AppTest.from_function(page, default_timeout=60)
    at.session_state["chosen"] = [run.id for run in chosen]
    at.run()
    assert not at.exception
    return at


def press(at, words):
    next(b for b in at.button if b.label == words).click().run()
    assert not at.exception
    return at


def expected(run, **lesion):
    """Percent, by the plain way."""
    trained = load_run_model(run)
    data = load_dataset("shapes", split="test", limit=PICTURES)
    images = normalize(data.images, trained.mean, trained.std)
    return 100 * accuracy(lesioned(trained.model, **lesion), images, data.labels)


def words(at):
    elements = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error]
    return " ".join(element.value for element in elements).replace("\\", "")


def test_without_runs_it_says_what_to_do():
    at = opened()
    assert len(at.info) == 1
    assert not at.metric


def test_what_is_clicked_is_taken_out_of_that_net_alone(runs):
    residual, plain, _ = runs
    at = opened(plain, residual)
    whole = [expected(residual), expected(plain)]
    assert [m.value for m in at.metric] == [f"{value:.1f} %" for value in whole]
    at.get_by_key("comparison.out.resnet20, seed 0.1").set_value(["layer1.0", "layer1.2"]).run()
    at.get_by_key("comparison.out.resnet20, seed 0.2").set_value(["layer2.0"]).run()
    left = expected(residual, removed=["layer1.0", "layer1.2", "layer2.0"])
    assert at.metric[0].value == f"{left:.1f} %"
    assert at.metric[0].delta == f"{left - whole[0]:+.1f} points"
    assert (at.metric[1].value, at.metric[1].delta) == (f"{whole[1]:.1f} %", "")


def test_swapped_blocks_change_places(runs):
    residual, _, _ = runs
    at = opened(residual)
    at.selectbox(key="comparison.swap1.resnet20, seed 0").set_value("layer3.1").run()
    at.selectbox(key="comparison.swap2.resnet20, seed 0").set_value("layer3.2").run()
    left = expected(residual, swapped=[("layer3.1", "layer3.2")])
    assert at.metric[0].value == f"{left:.1f} %"
    assert at.metric[0].delta
    assert "layer3.0" not in at.selectbox(key="comparison.swap1.resnet20, seed 0").options


def test_blocks_that_cannot_change_places_are_one_sentence_and_the_other_net_goes_on(runs):
    residual, plain, _ = runs
    at = opened(residual, plain)
    at.selectbox(key="comparison.swap1.resnet20, seed 0").set_value("layer1.1").run()
    at.selectbox(key="comparison.swap2.resnet20, seed 0").set_value("layer2.1").run()
    assert not at.exception
    assert "cannot change places" in at.error[0].value.replace("\\", "")
    assert [m.value for m in at.metric] == [f"{expected(plain):.1f} %"]


def test_series_are_what_the_nets_answer_and_both_nets_grow_together(runs):
    residual, plain, _ = runs
    at = press(opened(residual, plain), "Remove each in turn")
    at.session_state["comparison.lesion.job"].wait()
    found = at.session_state["comparison.lesion.job"].records
    assert [r.plain for r in found] == [False, True] * 10
    for record in found[:4]:
        of = expected((residual, plain)[record.plain], removed=record.removed)
        assert 100 * record.accuracy == pytest.approx(of)
    assert {r.removed[0] for r in found if r.changes_shape} == {"layer2.0", "layer3.0"}
    at = press(at.run(), "Remove k at random")
    at.session_state["comparison.random-lesion.job"].wait()
    at.run()
    assert not at.exception
    found = at.session_state["comparison.random-lesion.job"].records
    assert sorted(len(r.removed) for r in found if r.plain) == sorted([0, *[*range(1, 10)] * 3])
    assert [r.removed for r in found if r.plain] == [r.removed for r in found if not r.plain]


def test_a_series_of_other_nets_is_ended_and_not_shown(runs):
    residual, plain, deeper = runs
    at = press(opened(deeper), "Remove each in turn")
    at.session_state["comparison.lesion.job"].wait()
    charts = len(at.run().get("bidi_component"))
    going, go = threading.Event(), threading.Event()

    def work(_):
        yield Lesion("resnet32, seed 0", False, ("layer3.4",), 0.5, PICTURES)
        going.set()
        go.wait(20)

    job = Job(work, 15, of="other nets")
    going.wait(20)
    at.session_state["comparison.lesion.job"] = job
    at.session_state["chosen"] = [residual.id, plain.id]
    at.run()
    assert not at.exception
    assert job.is_cancelled
    assert len(at.get("bidi_component")) == charts - 1
    go.set()
    job.wait()


@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_run_without_its_checkpoint_is_one_sentence_and_the_other_goes_on(runs, damage):
    residual, plain, _ = runs
    for path in residual.path.glob("*.pt"):
        path.unlink() if damage == "gone" else path.write_bytes(b"PK\x03\x04 half a file")
    at = opened(residual, plain)
    assert len(at.warning) == 1
    assert ("no checkpoint" if damage == "gone" else ".pt") in words(at)
    assert [m.value for m in at.metric] == [f"{expected(plain):.1f} %"]


def test_a_net_that_trained_on_is_asked_anew(runs):
    residual, _, _ = runs
    at = opened(residual)
    for path in residual.path.glob("*.pt"):
        state = torch.load(path, weights_only=True)
        state["model"]["fc.bias"] += torch.eye(10)[7] * 1e6
        torch.save(state, path)
    assert at.run().metric[0].value == f"{expected(residual):.1f} %" == "10.0 %"
