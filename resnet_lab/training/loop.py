"""`fit`: one run from config to test accuracy. Knows nothing of threads, files or pages."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from resnet_lab.data import load_dataset, split_validation
from resnet_lab.models.classifier import IMAGENET, Classifier, EvalTransform, dataset_title
from resnet_lab.training import preflight
from resnet_lab.training.batches import BatchSource
from resnet_lab.training.checkpoint import BestWeights, describe, differences
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.evaluation import Evaluation, evaluate
from resnet_lab.training.events import (
    Checkpoint,
    EpochEvent,
    Event,
    Gradients,
    Notice,
    Preparing,
    Started,
    TestEvent,
)
from resnet_lab.training.execution.device import check_precision, deterministic, device_name, pick_device
from resnet_lab.training.execution.distributed import ALONE, World
from resnet_lab.training.execution.interrupt import Interrupted
from resnet_lab.training.execution.memory import is_out_of_memory, kept_memory
from resnet_lab.training.meter import Meter
from resnet_lab.training.result import FitResult, TrainingError
from resnet_lab.training.round_robin import Steps, run_to_end
from resnet_lab.training.start import build_model
from resnet_lab.training.step import Stepper, gradient_norms

Emit = Callable[[Event], None]
GRADIENTS_READ = 300  # how often a run of any length tells of its layers' gradients


def fit(
    config: TrainConfig,
    emit: Emit,
    should_stop: Callable[[], bool] = lambda: False,
    resume: dict[str, Any] | None = None,
    steps: int | None = None,
    world: World = ALONE,
) -> FitResult:
    """Trains as `config` says and tells `emit` about it; `resume` is the state of a `Checkpoint`.

    All randomness of step t (order, augmentation) is a function of (seed, t), so that a run that was
    stopped and resumed takes the same steps as one that was not. With `steps` it stops after so many. In a
    distributed run each process calls this with its own `world`; only the first should keep what is emitted.

    Raises:
        TrainingError: the data or the checkpoint do not fit the config, or the loss became NaN or infinite.
        DatasetError, WeightsError, ValueError: from the data, the weights and the config, one sentence each.
    """
    return run_to_end(step_by_step(config, emit, should_stop, resume, steps, world))


def step_by_step(
    config: TrainConfig,
    emit: Emit,
    should_stop: Callable[[], bool] = lambda: False,
    resume: dict[str, Any] | None = None,
    steps: int | None = None,
    world: World = ALONE,
) -> Steps[FitResult]:
    """`fit` that hands back control after each step, so that several nets can take turns on one device."""
    with deterministic() if config.deterministic else nullcontext(), kept_memory():
        try:
            trainer = Trainer(config, emit, should_stop, resume, world)
        except Interrupted:  # while the data were being loaded
            return FitResult("stopped", 0, 0)
        return (yield from trainer.fit(steps))


class Trainer:
    """The state of one `fit`: data, net, optimizer, and how far it is."""

    def __init__(
        self,
        config: TrainConfig,
        emit: Emit,
        should_stop: Callable[[], bool] = lambda: False,
        resume: dict[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.config, self.emit, self.should_stop, self.world = config, emit, should_stop, world
        self.device = pick_device(world.device(config.device))
        check_precision(config.precision, self.device)
        with world.local_main_first():
            self._load_data()
        preflight.check(config, self.train.images.shape[-1], world.size)
        self.model = build_model(config, self.train.num_classes, self.device, fresh=resume is None)
        self.net = Classifier(
            self.model, self.train.classes, self.train.images.shape[-1], self.train.mean, self.train.std,
            EvalTransform(config.augmentation.crop_size), dataset=config.dataset,
            trained_on=dataset_title(config.dataset),
        )  # fmt: skip
        self.stepper = Stepper(config, self.batches, self.model, emit, world)
        self.meter = Meter(config, self.batches, world)
        self.best: BestWeights | None = None
        self.gradients_at = 0
        self.kept_at = time.monotonic()  # when the last checkpoint was written
        if resume is not None:
            self._restore(resume)

    @property
    def step(self) -> int:
        """How many steps the run has taken."""
        return self.stepper.step

    def _load_data(self) -> None:
        config = self.config

        def progress(fraction: float, text: str) -> None:
            self.emit(Preparing(text, fraction))
            if self.should_stop() and self.world.size == 1:
                raise Interrupted

        whole = load_dataset(
            config.dataset,
            split="train",
            image_size=config.image_size,
            limit=config.train_limit,
            progress=progress,
        )
        if config.weights == "imagenet":
            whole = dataclasses.replace(whole, mean=IMAGENET[0], std=IMAGENET[1])
        train, val = split_validation(whole, config.val_fraction, config.seed)
        try:
            self.train, self.val = train.to(self.device), val.to(self.device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"The {len(whole):,} images take {whole.images.nbytes / 2**30:.1f} GiB, which the memory of "
                f"{device_name(self.device)} does not hold; choose fewer or smaller ones."
            ) from None
        self.notes = whole.notes
        self.batches = BatchSource(self.train, config, self.world)
        self.steps_per_epoch, self.total_steps = self.batches.steps_per_epoch, self.batches.total_steps

    def fit(self, steps: int | None = None) -> Steps[FitResult]:
        """Goes on to the end, or for so many steps; hands back control after each."""
        self._tell_start()
        last = self.total_steps if steps is None else self.step + steps
        try:
            if (
                self.meter.sums[2] > 0 and self.step % self.steps_per_epoch == 0
            ):  # a stop came before its validation
                self._finish_epoch()
            self.meter.begin()
            while self.step < self.total_steps:
                if any(self.world.any_rank(self.should_stop() or self.step >= last)):
                    raise Interrupted
                self.meter.add(self.stepper.take(should_stop=self.should_stop))
                read, keep = self.world.any_rank(self.meter.is_due, self._must_keep)
                if read or keep:
                    self._read()
                if keep:
                    self._checkpoint()
                with self.meter.paused():
                    yield
                if self.step % self.steps_per_epoch == 0:
                    self._finish_epoch()
            return self._test()
        except Interrupted:
            self._read()
            self._checkpoint()
            self.model.eval()
            val = self.best.accuracy if self.best else None
            return FitResult("stopped", self.step, self.total_steps, val, net=self.net)
        finally:
            self._read()

    @property
    def _must_keep(self) -> bool:
        stale = time.monotonic() - self.kept_at > 60 * self.config.checkpoint_minutes
        return stale or self.stepper.tuner.is_about_to_compile

    def _finish_epoch(self) -> None:
        """Validation and a checkpoint."""
        self._read()
        val = self._validate()
        loss, accuracy = self.meter.end_epoch()
        self.emit(
            EpochEvent(
                epoch=self.step // self.steps_per_epoch,
                step=self.step,
                train_loss=loss,
                train_accuracy=accuracy,
                val_loss=val.loss,
                val_accuracy=val.accuracy,
                seconds=self.meter.seconds,
            )
        )
        is_best = self.best is None or val.accuracy > self.best.accuracy
        if is_best:
            self.best = BestWeights.of(self.model, self.step, val.accuracy)
        self._checkpoint(is_best)
        self.meter.begin()

    def _validate(self) -> Evaluation:
        self.world.share_buffers(self.model)  # BN's statistics, so that all judge the net that is kept
        precision = self.stepper.tuner.current.precision
        return evaluate(self.net, self.val, precision, self.should_stop, world=self.world)

    def _test(self) -> FitResult:
        """Tests the best weights, as a later `evaluate` would: in float32, whatever they were trained in."""
        if self.best is None:  # of an older version, and resumed when there was nothing left but the test
            self.best = BestWeights.of(self.model, self.step, self._validate().accuracy)
        best = self.best
        with self.world.local_main_first():
            data = load_dataset(self.config.dataset, split="test", image_size=self.net.image_size)
        transform = self.net.transform.replace(scales=self.config.test_scales)
        model = Classifier.load(best.model, self.net.describe(), best.title).model.to(self.device)
        net = self.net.replace(model=model, transform=transform, weights=best.title)
        test = evaluate(net, data.to(self.device), should_stop=self.should_stop, world=self.world)
        self.emit(TestEvent(best.step, test.loss, test.accuracy, test.samples))
        return FitResult(
            "completed", self.step, self.total_steps, best.accuracy, test.accuracy, best.step, net
        )

    def _checkpoint(self, best: bool = False) -> None:
        state = {
            **describe(self.config, self.train),
            "spec": self.model.spec.to_json(),
            **self.stepper.state(),
            "seconds": self.meter.seconds,
            "sums": list(self.meter.sums),
            "best": self.best.for_state(self.step) if self.best else None,
            "best_accuracy": self.best.accuracy if self.best else -1.0,
            "model": self.model.state_dict(),
        }
        self.emit(Checkpoint(self.step, state, best))
        self.kept_at = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> None:
        if found := differences(state, self.model.spec.to_json(), self.config, self.train):
            raise TrainingError(
                f"Cannot resume from this checkpoint: it has {'; '.join(found)}. Start a new run instead."
            )
        self.model.load_state_dict(state["model"])
        self.stepper.restore(state)
        self.best = BestWeights.in_state(state)
        if self.best is None and state["best_accuracy"] >= 0:
            text = "The checkpoint is of a version that did not keep the best weights; they are counted from here on."
            self.emit(Notice(self.step, text))
        self.meter.seconds, self.meter.sums = state["seconds"], list(state["sums"])

    def _tell_start(self) -> None:
        many = f"{self.world.size} × " if self.world.size > 1 else ""
        self.emit(
            Started(
                step=self.step,
                total_steps=self.total_steps,
                steps_per_epoch=self.steps_per_epoch,
                train_size=len(self.train),
                val_size=len(self.val),
                params=sum(p.numel() for p in self.model.parameters()),
                device=many + device_name(self.device),
                precision=self.stepper.tuner.current.precision,
                notes=self.notes,
                layers=tuple(self.model.convolutions),
            )
        )
        if self.config.channels_last and not self.stepper.tuner.current.channels_last:
            self.stepper.tuner.tell(
                self.stepper.tuner.current,
                "channels first, although channels last was asked for: on a CPU, oneDNN cannot train strided 1×1 "
                "convolutions of so few channels in channels last (its issue 6035).",
            )

    def _read(self) -> None:
        """Tells what was measured since the last time, and now and then the gradients of the layers."""
        event = self.meter.read(self.step)
        if event is None:
            return
        self.emit(event)
        if self.step < self.gradients_at:
            return
        self.gradients_at = self.step + max(self.total_steps // GRADIENTS_READ, 1)
        norms = gradient_norms(self.model)
        if norms is not None:
            self.emit(Gradients(self.step, event.epoch, norms))
