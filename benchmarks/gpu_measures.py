"""How fast the device trains, and how long it takes to a stated accuracy."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_lab import Ask, Lab, Skipped, set_to
from resnet_lab.data import Augmentation
from resnet_lab.models import VARIANTS
from resnet_lab.training import RECIPES, TrainConfig, fit
from resnet_lab.training.events import EpochEvent, ModeChosen
from resnet_lab.training.execution import tuner
from resnet_lab.training.execution.device import half_precision, synchronize
from resnet_lab.training.execution.tuner import Tuner
from resnet_lab.training.loop import Trainer

NETS: dict[str, tuple[Any, int, int]] = {  # net → spec, side, batch
    "resnet20": ("resnet20", 32, 128),
    "resnet56": ("resnet56", 32, 128),
    "resnet18-cifar": (
        VARIANTS["resnet18"].replace(name="resnet18-cifar", stem="cifar", num_classes=10),
        32,
        128,
    ),
    "resnet50": ("resnet50", 224, 64),
}
ROUNDS = 5


def speed(config: TrainConfig, seconds: float, graph: bool) -> list[float]:
    """Images a second in each of `ROUNDS` rounds, augmentation included, once the run has chosen how to compute."""
    record = Tuner.record
    chosen = lambda self, s: record(self, 0.5 if self.current.graph else 1.0)  # noqa: E731
    captured_on = {"cuda"} if graph else set()
    with set_to(tuner, "CAPTURED_ON", captured_on), set_to(Tuner, "record", chosen):
        trainer = Trainer(config, lambda event: None)
        while trainer.stepper.tuner.trial.is_running:
            trainer.stepper.take()
        for _ in range(3):
            trainer.stepper.take()
    rates = []
    for _ in range(ROUNDS):
        synchronize(trainer.device)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds or count == 0:
            trainer.stepper.take()
            count += config.batch_size
        synchronize(trainer.device)
        rates.append(count / (time.perf_counter() - began))
    return rates


def spread(values: list[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def images_a_second(lab: Lab) -> dict[str, Any]:
    """Images a second, eager, captured, compiled, compiled and captured: median (least–most)."""
    found = {}
    half = half_precision(lab.device) or "float32"
    for name, (net, side, batch) in list(NETS.items())[: 1 if lab.tiny else None]:
        config = lab.config(
            variant=net, image_size=side, batch_size=16 if lab.tiny else batch,
            train_limit=(160 if lab.tiny else 20 * batch),
            precision=half, channels_last=lab.is_cuda, epochs=100_000, augmentation=Augmentation(),
        )  # fmt: skip
        ways = {"eager": (False, False)}
        if lab.is_cuda:
            ways |= {
                "captured": (False, True),
                "compiled": (True, False),
                "compiled and captured": (True, True),
            }
        for way, (compiles, graph) in ways.items():
            if time.monotonic() > lab.deadline:
                break
            rates = speed(config.replace(compile=compiles), 0.05 if lab.tiny else 1.0, graph)
            found[f"{name} {way}"] = spread(rates)
    return found


@contextmanager
def _busy_thread() -> Any:
    """Python that never waits, as a page that draws."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def interpreter(lab: Lab) -> dict[str, Any]:
    """Images a second of resnet20 beside a busy Python thread, by how often Python lets threads change."""
    config = lab.config(
        precision=half_precision(lab.device) or "float32", channels_last=lab.is_cuda, epochs=100_000
    )
    found = {}
    before = sys.getswitchinterval()
    for graph in (False, True) if lab.is_cuda else (False,):
        for interval in (before, 2e-4):
            sys.setswitchinterval(interval)
            try:
                with _busy_thread():
                    rates = speed(config, 0.05 if lab.tiny else 0.5, graph)
            finally:
                sys.setswitchinterval(before)
            found[f"{'captured' if graph else 'eager'}, {interval:g} s"] = spread(rates)
    return found


def cudnn_benchmark(lab: Lab) -> dict[str, Any]:
    """Images a second with cuDNN's heuristics and with its own trials."""
    lab.only_cuda()
    found = {}
    for name, (net, side, batch) in NETS.items():
        config = lab.config(
            variant=net, image_size=side, batch_size=batch, train_limit=20 * batch, channels_last=True, epochs=100_000,
            precision=half_precision(lab.device),
        )  # fmt: skip
        for tries in (False, True):
            with set_to(torch.backends.cudnn, "benchmark", tries):
                found[f"{name} {'trials' if tries else 'heuristics'}"] = spread(speed(config, 0.5, False))
    return found


def to_accuracy(lab: Lab, config: TrainConfig, goal: float) -> dict[str, Any]:
    """Trains until a validation passes `goal`, the run ends or the time is up."""
    reached: list[float] = []
    accuracies: list[float] = []
    told: list[str] = []
    began = time.monotonic()

    def emit(event: Any) -> None:
        if isinstance(event, ModeChosen):
            told.append(event.text)
        if isinstance(event, EpochEvent):
            accuracies.append(event.val_accuracy)
            if event.val_accuracy >= goal and not reached:
                reached.append(time.monotonic() - began)

    result = fit(config, emit, lambda: time.monotonic() > lab.deadline)
    return {
        "outcome": result.outcome, "epochs": len(accuracies), "of": config.epochs,
        "best validation": max(accuracies, default=0.0),
        "test": result.test_accuracy, f"seconds to {goal:.2%}": reached[0] if reached else "not reached",
        "seconds": time.monotonic() - began, "how": told[-1:],
    }  # fmt: skip


def ninety_four(lab: Lab) -> dict[str, Any]:
    """94 % on CIFAR-10 in under 60 s."""
    config = RECIPES["modern"].replace(
        variant=NETS["resnet18-cifar"][0], dataset=lab.dataset(), epochs=16, batch_size=512, lr=0.8,
        device=str(lab.device), val_fraction=0.02,
    )  # fmt: skip
    return to_accuracy(lab, config, 0.94)


def tutorial(lab: Lab) -> dict[str, Any]:
    """tutorial_resnet50 to 78.41 % on CIFAR-10."""
    return to_accuracy(
        lab, RECIPES["tutorial"].replace(dataset=lab.dataset(), device=str(lab.device), epochs=30), 0.7841
    )


def paper(lab: Lab) -> dict[str, Any]:
    """paper-cifar, resnet20: as far as the time goes."""
    return to_accuracy(
        lab, RECIPES["paper-cifar"].replace(dataset=lab.dataset(), device=str(lab.device)), 0.9125
    )


def shapes(lab: Lab) -> dict[str, Any]:
    """The quick recipe, to its end."""
    config = RECIPES["quick"].replace(device=str(lab.device))
    if lab.tiny:
        config = config.replace(train_limit=160, epochs=1, batch_size=16)
    return to_accuracy(lab, config, 0.95)


def pages(lab: Lab) -> dict[str, Any]:
    """Page switches while the device trains: 95th percentile."""
    try:
        from benchmarks.pages import main as measure
    except ModuleNotFoundError as error:
        raise Skipped(f"{error.name} is not installed") from None
    if lab.tiny:
        raise Skipped("it has a command of its own, benchmarks.pages")
    measure()
    return {}


MEASURES: list[Ask] = [
    images_a_second, shapes, ninety_four, interpreter, tutorial, paper, cudnn_benchmark, pages,
]  # fmt: skip
