import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from benchmarks import gallery as script
from benchmarks.gallery import POINTS, recordings, thinned, weights_file
from resnet_lab.cli import main
from resnet_lab.data import load_dataset
from resnet_lab.experiments.depth import DEPTH, DepthSettings
from resnet_lab.runs import RunError, RunManager, load_run_model
from resnet_lab.runs.gallery import FOLDER, gallery
from resnet_lab.training import evaluate
from resnet_lab.training.evaluation import Evaluation
from resnet_lab.training.events import StepEvent, TestEvent

MEGABYTE = 10**6
RECORDINGS = {recording.name: recording for recording in recordings()}


def files():
    return [path for path in FOLDER.rglob("*") if path.is_file()]


def test_it_is_small_and_says_where_it_comes_from(recorded):
    assert sum(path.stat().st_size for path in files()) <= 16 * MEGABYTE
    assert [run.id for run in recorded] == [name for name in RECORDINGS if (FOLDER / name).is_dir()]
    assert len(recorded) == len([path for path in files() if path.name == "card.json"])
    for run in recorded:
        assert run.status.state == "completed"
        assert run.status.device
        assert {"resnet_lab", "python", "torch"} <= run.versions.keys()
        assert run.card.command == f"python -m benchmarks.gallery {run.id}"


def test_each_is_a_config_of_its_script(recorded):
    for run in recorded:
        assert run.config == RECORDINGS[run.id].shown
        assert bool(run.best_checkpoint) == RECORDINGS[run.id].weights


@pytest.mark.parametrize("name", ["shapes-resnet20", "watermark-resnet20"])
def test_weights_answer_as_the_run_was_tested(name, monkeypatch):
    monkeypatch.undo()  # all of the test images
    run = next(run for run in gallery() if run.id == name)
    net = load_run_model(run)
    found = evaluate(net, load_dataset(net.dataset, split="test"))
    [tested] = [event for event in run.events()[0] if isinstance(event, TestEvent)]
    assert found.accuracy == pytest.approx(tested.accuracy, abs=0.002)
    assert found.samples == tested.samples == 2000
    assert net.weights == f"best weights, of step {tested.step:,}"


def test_nothing_changes_them(recorded, store):
    run, manager = recorded[0], RunManager(store)
    before = {path: path.read_bytes() for path in files()}
    refused = (
        lambda: run.rename("mine"),
        lambda: run.claim(),
        lambda: run.ask("stop"),
        lambda: run.set_status(state="failed"),
        lambda: run.lengthen(3),
        lambda: manager.resume(run.id),
        lambda: manager.extend(run.id, 2),
        lambda: store.delete(run),
    )
    for attempt in refused:
        with pytest.raises(RunError, match=r"resnet20 on shapes \(recorded\) came with the lab"):
            attempt()
    manager.stop(run.id)
    assert {path: path.read_bytes() for path in files()} == before


def test_the_command_line_takes_their_names(recorded, capsys, tmp_path):
    name = "cifar10-resnet20"
    assert main(["export", name, "--format", "json", "--output", str(tmp_path / "net.json")]) == 0
    assert json.loads((tmp_path / "net.json").read_text())["num_classes"] == 10
    assert main(["resume", name]) != 0
    assert "came with the lab" in capsys.readouterr().err


def test_curves_alone_have_no_net(recorded):
    run = next(run for run in recorded if run.id.startswith("race-"))
    with pytest.raises(RunError, match="its curves alone"):
        load_run_model(run)


def test_the_depth_figure_says_that_it_is_recorded(recorded):
    runs = [run for run in recorded if run.id.startswith("race-")]
    records = DEPTH.records(runs, DepthSettings())
    assert [record.is_recorded for record in records] == [True] * len(runs)
    [part] = DEPTH.report(records, DepthSettings(), False)
    assert f"{len(runs)} finished runs that came with the lab" in part.caption
    [part] = DEPTH.report([*records, replace(records[0], is_recorded=False)], DepthSettings(), False)
    assert f"{len(runs) + 1} finished runs, {len(runs)} of which came with the lab" in part.caption


def test_a_folder_that_is_none_is_an_empty_gallery(tmp_path, monkeypatch):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "card.json").write_text("{")
    monkeypatch.setenv("RESNET_LAB_GALLERY", str(tmp_path))
    assert list(gallery()) == []


def test_thinning_keeps_means_and_everything_but_points(trained):
    events = trained.events()[0]
    [step] = [event for event in events if isinstance(event, StepEvent)][:1]
    many = [step.replace(step=i, loss=float(i)) for i in range(1, 3 * POINTS + 1)]
    rest = [event for event in events if not isinstance(event, StepEvent)]
    found = list(thinned([*many, *rest], with_gradients=True))
    points = [event for event in found if isinstance(event, StepEvent)]
    assert [point.loss for point in points] == [3 * i + 2 for i in range(POINTS)]
    assert points[-1].step == many[-1].step
    assert found[len(points) :] == rest


@pytest.mark.parametrize(
    ("whole", "half", "kept"), [(0.8751, 0.8749, torch.float16), (0.87, 0.872, torch.float32)]
)
def test_float16_is_taken_where_it_costs_nothing(trained, monkeypatch, whole, half, kept):
    """Nothing to the first decimal of the accuracy in percent."""
    answers = iter([whole, half])
    monkeypatch.setattr(script, "evaluate", lambda net, data: Evaluation(1.0, next(answers), len(data)))
    weights = load(weights_file(trained))
    assert {t.dtype for t in weights.values() if t.is_floating_point()} == {kept}
    own = load_run_model(trained).model.state_dict()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor.float(), own[name].float(), rtol=1e-3, atol=1e-4)
