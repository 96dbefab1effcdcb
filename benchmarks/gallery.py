"""Records the runs that come with the lab: trains what is missing, and keeps of each what the pages need.

    python -m benchmarks.gallery [only …]

Without names, those of `recordings` that the gallery lacks, or has with another config. Runs are trained in the run
folder, where one with the same config is taken as it is. What lies in resnet_lab/gallery under a name is replaced.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from safetensors.torch import save

from resnet_lab.data import load_dataset
from resnet_lab.runs import Run, RunStore, execute, load_run_model
from resnet_lab.runs.gallery import CARD, FOLDER, WEIGHTS, Card, gallery
from resnet_lab.runs.run import config_file
from resnet_lab.training import RECIPES, TrainConfig, evaluate
from resnet_lab.training.events import Event, Gradients, Started, StepEvent
from resnet_lab.training.races import race

CIFAR = "folder:data/cifar10-jpeg"  # the README of the data says how to unpack it
CIFAR_EPOCHS = {20: 16, 56: 8}  # by depth: what two cores train in a quarter of an hour
POINTS, NORMS = 120, 40  # of training, and of the gradients of its layers, that are kept of a run
DIGITS = 5


@dataclass(frozen=True)
class Recording:
    """A run of the gallery: its id, what the screen calls it, and the config that it is trained with.

    The gallery says `dataset` and `trained_on` instead of what the run says where they are given.
    """

    name: str
    title: str
    config: TrainConfig
    weights: bool = True
    dataset: str = ""
    trained_on: str = ""
    note: str = ""

    @property
    def shown(self) -> TrainConfig:
        """The config in the gallery."""
        return self.config.replace(dataset=self.dataset or self.config.dataset)


def recordings() -> list[Recording]:
    """In the order in which the pages show them."""
    found = [Recording("shapes-resnet20", "resnet20 on shapes", RECIPES["quick"])]
    [pair] = race([56], ["A", "plain"])
    for config in pair:
        net = config.spec.name
        found.append(Recording(f"shapes-{net}", f"{net} on shapes, 20 epochs", config.replace(epochs=20)))
    cheat = RECIPES["race-32"].replace(variant="resnet20", dataset="shapes_watermark", epochs=3)
    found.append(Recording("watermark-resnet20", "resnet20 on marked shapes", cheat))
    cifar = TrainConfig("resnet20", CIFAR, batch_size=128, lr=0.1, weight_decay=5e-4)
    for depth, epochs in CIFAR_EPOCHS.items():
        for net in (f"resnet{depth}", f"plain{depth}"):
            note = (
                "Trained and tested on CIFAR-10 saved as JPEG, whose pixels are not the original ones. It took "
                f"{epochs * 352:,} steps in batches of 128; the nets of He et al. 2015 took 64,000."
            )
            config = cifar.replace(variant=net, epochs=epochs)
            of, about = ("cifar10", "CIFAR-10 (JPEG)"), f"{net} on CIFAR-10 (JPEG)"
            found.append(Recording(f"cifar10-{net}", about, config, True, *of, note))
    for group in race([32], ["A", "plain"]) + race([20, 32, 44, 56], ["A", "plain"], seeds=range(3)):
        for config in group:
            net, epochs, seed = config.spec.name, config.epochs, config.seed
            title = f"{net} on shapes, {epochs} epochs, seed {seed}"
            found.append(Recording(f"race-{net}-{epochs}-{seed}", title, config, weights=False))
    return found


def main(only: Sequence[str]) -> None:
    store, there = RunStore(), {run.id: run.config for run in gallery()}
    for place, recording in enumerate(recordings()):
        is_there = there.get(recording.name) == recording.shown
        if recording.name in only or not (only or is_there):
            run = _trained(store, recording.config)
            size = record(run, recording, place)
            print(f"{recording.name}: {run.status.test_accuracy:.2%}, {size:,} bytes", flush=True)


def _trained(store: RunStore, config: TrainConfig) -> Run:
    for run in store.list():
        if run.config == config and run.status.state == "completed":
            return run
    run = store.create(config)
    execute(run)
    assert run.status.state == "completed", run.status.message
    return run


def record(run: Run, recording: Recording, place: int) -> int:
    """Writes what the gallery keeps of `run`; returns the bytes."""
    path = FOLDER / recording.name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "config.json").write_bytes(config_file(recording.shown, run.versions))
    status = run.status.replace(pid=0, host="", device=_device(run))
    (path / "status.json").write_text(status.to_json())
    (path / "name.txt").write_text(recording.title)
    (path / CARD).write_text(
        Card(f"python -m benchmarks.gallery {recording.name}", recording.note, place).to_json()
    )
    with (path / "events.jsonl").open("w") as file:
        for event in thinned(run.events()[0], recording.weights):
            file.write(json.dumps(_short(event.to_dict()), separators=(",", ":")) + "\n")
    if recording.weights:
        (path / WEIGHTS).write_bytes(weights_file(run, recording.trained_on))
    return sum(file.stat().st_size for file in path.iterdir())


def thinned(events: Sequence[Event], with_gradients: bool) -> Iterator[Event]:
    """Points of training as means over as many as make `POINTS`; everything else as it was."""
    every = math.ceil(sum(isinstance(event, StepEvent) for event in events) / POINTS)
    norms = math.ceil(sum(isinstance(event, Gradients) for event in events) / NORMS)
    waiting: list[StepEvent] = []
    seen = 0
    for event in events:
        if isinstance(event, StepEvent):
            waiting.append(event)
            if len(waiting) == every:
                yield _mean(waiting)
                waiting = []
        elif isinstance(event, Gradients):
            seen += 1
            if with_gradients and seen % norms == 0:
                yield event
        else:
            yield event
    if waiting:
        yield _mean(waiting)


def _mean(events: Sequence[StepEvent]) -> StepEvent:
    """The last of them with the mean loss and accuracy of all, which cover nearly as many steps each."""
    of = {
        name: mean(getattr(event, name) for event in events)
        for name in ("loss", "accuracy", "images_per_second")
    }
    return events[-1].replace(**of)


def weights_file(run: Run, trained_on: str = "") -> bytes:
    """The best weights in float16 if their test accuracy, in percent with one decimal, stays; else as they are."""
    net = load_run_model(run)
    data = load_dataset(net.dataset, split="test", image_size=net.image_size)
    whole = evaluate(net, data)
    state = net.model.state_dict()
    halved = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    net.model.load_state_dict(halved)
    half = evaluate(net, data)
    fits = f"{whole.accuracy:.1%}" == f"{half.accuracy:.1%}"
    print(f"float32 {whole.accuracy:.2%}, float16 {half.accuracy:.2%}")
    net = net.replace(trained_on=trained_on or net.trained_on)
    return save({name: t.contiguous() for name, t in (halved if fits else state).items()}, net.metadata())


def _device(run: Run) -> str:
    events = run.events()[0]
    return next(event.device for event in events if isinstance(event, Started))


def _short(value: Any) -> Any:
    """Floats with `DIGITS` digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main(sys.argv[1:])
