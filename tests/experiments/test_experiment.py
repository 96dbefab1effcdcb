"""What all experiments have in common, and that a new one is a file."""

from resnet_lab.cli import main
from resnet_lab.experiments import experiments
from resnet_lab.experiments.experiment import in_turn
from resnet_lab.experiments.gradients import GRADIENTS, GradientSettings
from resnet_lab.schema import fields_of


def test_each_says_what_it_asks_and_what_can_be_set():
    assert {"curves", "depth", "gradients", "lesion", "race", "responses", "surface"} <= set(experiments())
    for name, experiment in experiments().items():
        assert (experiment.name, bool(experiment.question)) == (name, True)
        settings = experiment.settings()
        assert set(experiment.links) | experiment.looks <= set(fields_of(experiment.settings))
        assert experiment.settings.from_json(settings.to_json()) == settings


def test_a_new_one_is_a_file(new_experiment, tmp_path, capsys):
    output = tmp_path / "count.html"
    assert main(["compare", "count", "--until", "5", "--output", str(output)]) == 0
    assert "all          5" in capsys.readouterr().out
    assert "<td>all</td><td>5</td>" in output.read_text()
    assert main(["compare", "count", "--until", "0"]) == 1
    assert "until is 0; it may be a whole number from 1" in capsys.readouterr().err


def test_a_measurement_ends_where_nobody_draws_from_it(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "resnet_lab.experiments.gradients.initial_gradients",
        lambda spec, data, seed: asked.append(spec) or {"conv1": 1.0},
    )
    growing = GRADIENTS.measure((), GradientSettings(8))
    assert next(growing).net == "resnet8"
    growing.close()
    assert len(asked) == 1


def test_nets_grow_in_turn_whatever_their_length():
    assert list(in_turn([iter("abc"), iter("x")])) == ["a", "x", "b", "c"]
