"""`fit`: one run from config to test accuracy. Knows nothing of threads, files or pages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from resnet_lab.data import Dataset, augment, load_dataset, normalize, split_validation
from resnet_lab.models import ResNet, create_model
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.device import device_name, memory_mb, pick_device, pick_precision
from resnet_lab.training.evaluation import Evaluation, evaluate
from resnet_lab.training.events import (
    Adjusted,
    Checkpoint,
    EpochEvent,
    Event,
    Preparing,
    Started,
    StepEvent,
    TestEvent,
)
from resnet_lab.training.interrupt import Interrupted
from resnet_lab.training.optimization import build_optimizer, learning_rate
from resnet_lab.training.stepper import Stepper, StepResult, TrainingError

Emit = Callable[[Event], None]
CHECKPOINT_FORMAT = 1
READ_EVERY = 0.3  # seconds between reads of the metrics: each is a synchronisation with the device


@dataclass(frozen=True)
class FitResult:
    """How a run ended. `outcome` is "completed" or "stopped"; accuracies are 0 to 1, None if not measured.

    `model` is in eval mode; None if the run was stopped before there was one.
    """

    outcome: str
    step: int
    total_steps: int
    val_accuracy: float | None
    test_accuracy: float | None
    model: ResNet | None


def fit(
    config: TrainConfig,
    emit: Emit,
    should_stop: Callable[[], bool] = lambda: False,
    resume: dict[str, Any] | None = None,
) -> FitResult:
    """Trains as `config` says and tells `emit` about it; `resume` is the state of a `Checkpoint`.

    All randomness of step t (order, augmentation) is a function of (seed, t), so that a run that was
    stopped and resumed takes the same steps as one that was not.

    Raises:
        TrainingError: the data do not fit the config, or the loss became NaN or infinite.
        DatasetError, ValueError: from the data and the config, one sentence each.
    """
    try:
        trainer = Trainer(config, emit, should_stop, resume)
    except Interrupted:  # while the data were being loaded
        return FitResult("stopped", 0, 0, None, None, None)
    return trainer.fit()


@dataclass
class _Window:
    """The steps since the last read, their numbers still on the device."""

    results: list[StepResult] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)


class Trainer:
    """The state of one `fit`: data, net, optimizer, and how far it is."""

    def __init__(
        self,
        config: TrainConfig,
        emit: Emit,
        should_stop: Callable[[], bool],
        resume: dict[str, Any] | None,
    ) -> None:
        self.config, self.emit, self.should_stop = config, emit, should_stop
        self.device = pick_device(config.device)
        self.precision = pick_precision(config.precision, self.device)
        self._load_data()
        self.model = self._build_model()
        self.optimizer = build_optimizer(config, self.model.parameters())
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.stepper = Stepper(
            config, self.model, self.optimizer, self.scaler, self.precision, on_shrink=self._shrunk
        )
        self.generator = torch.Generator(self.device)
        self.order_of = -1  # the epoch whose order is at hand
        self.step = 0
        self.seconds = 0.0  # of training, without evaluation
        self.sums = [0.0, 0.0, 0]  # loss, accuracy and steps of the epoch under way
        self.best = -1.0
        self.slow_step = True  # until the first step, of a resumed run too, has been timed
        if resume is not None:
            self._restore(resume)

    def _load_data(self) -> None:
        config = self.config

        def progress(fraction: float, text: str) -> None:
            self.emit(Preparing(text, fraction))
            if self.should_stop():
                raise Interrupted

        whole = load_dataset(
            config.dataset,
            split="train",
            image_size=config.image_size,
            limit=config.train_limit,
            progress=progress,
        )
        train, val = split_validation(whole, config.val_fraction, config.seed)
        if config.batch_size > len(train):
            raise TrainingError(
                f"The batch size is {config.batch_size:,} and the training set has {len(train):,} pictures; "
                f"choose a batch size of at most {len(train):,}."
            )
        self.train, self.val = train.to(self.device), val.to(self.device)
        self.notes = whole.notes
        self.steps_per_epoch = len(train) // config.batch_size
        self.total_steps = config.epochs * self.steps_per_epoch

    def _build_model(self) -> ResNet:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.config.seed)
            model = create_model(self.config.spec, num_classes=self.train.num_classes)
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return model.to(self.device, memory_format=layout)  # type: ignore[call-overload]

    def fit(self) -> FitResult:
        self.emit(
            Started(
                step=self.step,
                total_steps=self.total_steps,
                steps_per_epoch=self.steps_per_epoch,
                train_size=len(self.train),
                val_size=len(self.val),
                params=sum(p.numel() for p in self.model.parameters()),
                device=device_name(self.device),
                precision=self.precision,
                notes=self.notes,
            )
        )
        try:
            while self.step < self.total_steps or self._epoch_is_unfinished:
                if not self._epoch_is_unfinished:
                    self._train_epoch()
                self._finish_epoch()
            test = self._test()
        except Interrupted:
            self._checkpoint()
            return self._result("stopped", None)
        self.emit(TestEvent(self.step, test.loss, test.accuracy, test.samples))
        return self._result("completed", test.accuracy)

    @property
    def _epoch_is_unfinished(self) -> bool:
        """All its steps were taken, but a stop came before its validation."""
        return self.sums[2] > 0 and self.step % self.steps_per_epoch == 0

    def _result(self, outcome: str, test_accuracy: float | None) -> FitResult:
        val = self.best if self.best >= 0 else None
        return FitResult(outcome, self.step, self.total_steps, val, test_accuracy, self.model.eval())

    def _train_epoch(self) -> None:
        """From wherever the run is to the last step of its epoch."""
        end = (self.step // self.steps_per_epoch + 1) * self.steps_per_epoch
        window = _Window()
        try:
            while self.step < end:
                if self.should_stop():
                    raise Interrupted
                window.results.append(self.train_step())
                if time.perf_counter() - window.began > READ_EVERY:
                    window = self._read(window)
        finally:
            if window.results:
                self._read(window)

    def _finish_epoch(self) -> None:
        """Validation and a checkpoint."""
        val = self._evaluate(self.val)
        loss, accuracy, steps = self.sums
        self.sums = [0.0, 0.0, 0]
        self.emit(
            EpochEvent(
                epoch=self.step // self.steps_per_epoch,
                step=self.step,
                train_loss=loss / steps,
                train_accuracy=accuracy / steps,
                val_loss=val.loss,
                val_accuracy=val.accuracy,
                seconds=self.seconds,
            )
        )
        is_best = val.accuracy > self.best
        self.best = max(self.best, val.accuracy)
        self._checkpoint(is_best)

    def _order(self) -> Tensor:
        """The permutation of the training set in this epoch, (N,) on the device."""
        epoch = self.step // self.steps_per_epoch
        if self.order_of != epoch:
            generator = torch.Generator().manual_seed(_mix(self.config.seed, epoch, 1))
            self.order = torch.randperm(len(self.train), generator=generator).to(self.device)
            self.order_of = epoch
        return self.order

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) and labels (B,) of this step."""
        begin = (self.step % self.steps_per_epoch) * self.config.batch_size
        indices = self._order()[begin : begin + self.config.batch_size]
        self.generator.manual_seed(_mix(self.config.seed, self.step, 2))
        images = augment(self.train.images[indices], self.config.augmentation, self.generator)
        x = normalize(images, self.train.mean, self.train.std)  # float32
        if self.config.channels_last:
            x = x.to(memory_format=torch.channels_last)
        return x, self.train.labels[indices]

    def train_step(self, lr: float | None = None) -> StepResult:
        """Takes the next step, at the schedule's learning rate or at `lr`."""
        began = time.perf_counter()
        if lr is None:
            lr = learning_rate(self.config, self.step, self.steps_per_epoch)
        x, labels = self._batch()
        result = self.stepper.take(x, labels, lr, self.should_stop if self.slow_step else None)
        self.step += 1
        self.slow_step = time.perf_counter() - began > 0.5
        return result

    def _shrunk(self, micro_batch: int) -> None:
        text = (
            f"The memory did not hold {self.config.batch_size:,} pictures at once: from here on they pass in "
            f"micro-batches of up to {micro_batch:,}, and BN sees those."
        )
        self.emit(Adjusted(self.step, micro_batch, text))

    def _read(self, window: _Window) -> _Window:
        """Brings the window's metrics over, tells about them, and opens the next window."""
        losses = torch.stack([result.loss for result in window.results]).tolist()
        accuracies = torch.stack([result.accuracy for result in window.results]).tolist()
        norm = torch.stack([result.norm for result in window.results]).float().mean().item()
        for i, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"The loss became {loss} at step {self.step - len(losses) + i + 1:,}; try a lower learning "
                    f"rate than {self.config.lr:g}, a warm-up, or gradient clipping."
                )
        elapsed = time.perf_counter() - window.began
        self.seconds += elapsed
        self.sums[0] += sum(losses)
        self.sums[1] += sum(accuracies)
        self.sums[2] += len(losses)
        per_step = elapsed / len(losses)
        self.emit(
            StepEvent(
                step=self.step,
                epoch=self.step / self.steps_per_epoch,
                loss=sum(losses) / len(losses),
                accuracy=sum(accuracies) / len(losses),
                lr=self.optimizer.param_groups[0]["lr"],
                grad_norm=norm if math.isfinite(norm) else None,
                images_per_second=self.config.batch_size / per_step,
                seconds=self.seconds,
                seconds_left=per_step * (self.total_steps - self.step),
                memory_mb=memory_mb(self.device),
            )
        )
        return _Window()

    def _evaluate(self, data: Dataset) -> Evaluation:
        return evaluate(self.model, data, self.precision, self.should_stop)

    def _test(self) -> Evaluation:
        size = self.train.images.shape[-1]
        return self._evaluate(
            load_dataset(self.config.dataset, split="test", image_size=size).to(self.device)
        )

    def _checkpoint(self, best: bool = False) -> None:
        state = {
            "format": CHECKPOINT_FORMAT,
            "config": self.config.to_json(),
            "spec": self.model.spec.to_json(),
            "classes": list(self.train.classes),
            "image_size": self.train.images.shape[-1],
            "mean": list(self.train.mean),
            "std": list(self.train.std),
            "step": self.step,
            "seconds": self.seconds,
            "sums": list(self.sums),
            "best_accuracy": self.best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "micro_batch": self.stepper.micro_batch,
        }
        self.emit(Checkpoint(self.step, state, best))

    def _restore(self, state: dict[str, Any]) -> None:
        if state["spec"] != self.model.spec.to_json() or state["classes"] != list(self.train.classes):
            raise TrainingError("The checkpoint is of another net or other classes; start a new run instead.")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.sums, self.best = list(state["sums"]), state["best_accuracy"]
        self.stepper.micro_batch = state.get("micro_batch", self.stepper.micro_batch)


def _mix(*parts: int) -> int:
    """One seed out of several numbers, spread so that neighbours share nothing."""
    value = 0x9E3779B97F4A7C15
    for part in parts:
        value = (value ^ part) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value >> 1
