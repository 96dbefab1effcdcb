"""What all viewers of a run see is made once for each change of the run."""

import shutil

import pytest

from resnet_lab.experiments import curves
from resnet_lab.runs import RunStore
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training.events import StepEvent
from resnet_lab.ui.common import runs


@pytest.fixture
def run(trained):
    """A finished run that may be written to."""
    shutil.copytree(trained.path, RunStore().root / trained.id)
    return RunStore().get(trained.id)


@pytest.fixture
def made(monkeypatch):
    """The measure of each figure of curves, as it was made."""
    made, figure = [], runs.curve_figure

    def noted(shown, measure, *args, **options):
        made.append(measure)
        return figure(shown, measure, *args, **options)

    monkeypatch.setattr(runs, "curve_figure", noted)
    monkeypatch.setattr(curves, "curve_figure", noted)
    return made


def another_step(run):
    step = next(event for event in run.events()[0] if isinstance(event, StepEvent))
    writer = RunWriter(run)
    writer(step.replace(step=step.step + 1000))
    writer.close()


def test_viewers_of_training_share_its_figures(open_page, run, made):
    sessions = [open_page("training", run=run.id) for _ in range(3)]
    for at in sessions:
        at.run()
    assert made == ["loss", "accuracy"]
    another_step(run)
    for at in sessions:
        at.run()
        assert not at.exception
    assert made == ["loss", "accuracy"] * 2


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
