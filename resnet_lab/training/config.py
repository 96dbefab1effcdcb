"""What a run is asked to do, as data: `TrainConfig`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from resnet_lab.data import Augmentation
from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import get_spec

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "multistep", "cosine", "onecycle"]
Precision = Literal["auto", "float32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run; saved with it as JSON.

    Args:
        variant: a name in `VARIANTS`, or any `ModelSpec`; its number of classes follows the data.
        dataset: a name in `DATASETS`, or "folder:<path>".
        image_size: side in pixels; None keeps the data set's own.
        train_limit: use only so many training pictures (a balanced choice).
        epochs, batch_size: the last, smaller batch of an epoch is left out.
        micro_batch: so many pictures pass through the net at once, and the gradients of a batch are summed
            over its micro-batches (gradient accumulation); None for the whole batch. BN sees micro-batches.
        lr: the peak learning rate; `momentum` and `nesterov` are SGD's.
        schedule: "step" multiplies by `gamma` every `step_epochs`; "multistep" at each of `milestones`
            (in epochs); "cosine" falls to 0; "onecycle" rises for 30 % of the run, then falls
            (Smith and Topin 2018). `warmup_epochs` of linear warm-up come before any but "onecycle".
        warmup_accuracy: a tenth of the rate until the training accuracy of 50 steps passes this, 0 to 1
            (He et al. 2015, Sec. 4.2: 0.2 for 110 layers); None for no such warm-up.
        weights: where the net begins: None for fresh weights, "imagenet" for torchvision's (with ImageNet's
            mean and standard deviation), else a weights file. A head for other classes is drawn afresh.
        backbone_lr: factor on the rate of all layers but the head; 0 freezes them, their BN statistics too.
        clip_norm: gradients are scaled down to this norm, None for never.
        precision: of the forward and backward pass; weights stay float32.
        channels_last: memory format NHWC. compile: torch.compile, whose first step takes a minute or so,
            during which a stop has to wait. Where precision is "auto" or one of these two None, the first
            steps are timed and the fastest way is kept (`tuning`).
        deterministic: the same numbers bit for bit each time on the same machine; nothing is then chosen by
            timing, and "auto" means float32, NCHW, not compiled.
        augmentation: done on the device, training pictures only. With a `crop_size`, validation and test
            pictures are cut to their middle.
        test_scales: sides in pixels to which the test pictures are resized, whole; probabilities are averaged
            over them (He et al. 2015, Sec. 3.4). Empty for the one centre crop.
        val_fraction: of the training set, held out for validation by `seed`.
        sync_bn: BN statistics over all GPUs of a distributed run.
        checkpoint_minutes: a checkpoint is written at the end of an epoch, and when so many have passed.

    Raises:
        ValueError: naming the field, what it got and what it may be.
    """

    variant: str | ModelSpec = "resnet20"
    dataset: str = "shapes"
    image_size: int | None = None
    train_limit: int | None = None
    epochs: int = 5
    batch_size: int = 128
    micro_batch: int | None = None
    optimizer: Optimizer = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    schedule: Schedule = "onecycle"
    warmup_epochs: float = 0.0
    warmup_accuracy: float | None = None
    step_epochs: float = 30.0
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    precision: Precision = "auto"
    channels_last: bool | None = None
    compile: bool | None = None
    deterministic: bool = False
    weights: str | None = None
    backbone_lr: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    test_scales: tuple[int, ...] = ()
    val_fraction: float = 0.1
    seed: int = 0
    device: str = "auto"
    sync_bn: bool = False
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        get_spec(self.variant)
        for name in ("dataset", "device", "weights"):
            got = getattr(self, name)
            if not (isinstance(got, str) and got) and not (got is None and name == "weights"):
                raise ValueError(f"{name} is {got!r}; it may be a name")
        choices = {"optimizer": Optimizer, "schedule": Schedule, "precision": Precision}
        for name, kind in choices.items():
            if (got := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"{name} is {got!r}; it may be {', '.join(get_args(kind))}")
        for name, (low, high, text) in _LIMITS.items():
            got = getattr(self, name)
            fits = _is_whole(got) if name in _WHOLE else _is_real(got)
            if not (got is None and name in _OPTIONAL) and not (fits and low <= got <= high):
                raise ValueError(f"{name} is {got!r}; it may be {text}")
        for name in _SWITCHES:
            got = getattr(self, name)
            if not isinstance(got, bool) and not (got is None and name in _OPTIONAL):
                rest = ", or None to choose by timing" if name in _OPTIONAL else ""
                raise ValueError(f"{name} is {got!r}; it may be True or False{rest}")
        for name, is_fit, text in _LISTS:
            got = getattr(self, name)
            if not isinstance(got, tuple) or not all(is_fit(each) for each in got):
                raise ValueError(f"{name} is {got!r}; it may be {text}")
        if not isinstance(self.augmentation, Augmentation):
            raise ValueError(f"augmentation is {self.augmentation!r}; it may be an Augmentation")
        self._check_together()

    def _check_together(self) -> None:
        """Values that are possible by themselves and not with each other."""
        if self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            raise ValueError("nesterov is True with momentum 0; it needs a momentum above 0")
        if self.deterministic and self.compile:
            raise ValueError("compile is True in a deterministic run; it may be False there")
        if self.backbone_lr == 0 and self.weights is None:
            raise ValueError(
                "backbone_lr is 0 with fresh weights; it needs weights, as a frozen net of random layers learns nothing"
            )

    @property
    def spec(self) -> ModelSpec:
        return get_spec(self.variant)

    @property
    def title(self) -> str:
        """How the screen calls the run: "resnet20 on shapes"."""
        return f"{self.spec.name} on {self.dataset.removeprefix('folder:').rstrip('/').split('/')[-1]}"

    def replace(self, **changes: Any) -> TrainConfig:
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainConfig:
        """The config that `to_dict` (or its JSON) describes; fields left out keep their defaults.

        Raises:
            ValueError: for an unknown field or an impossible value.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown field {unknown[0]!r}; a recipe has {', '.join(sorted(known))}")
        data = dict(data)
        if isinstance(data.get("variant"), dict):
            data["variant"] = ModelSpec.from_dict(data["variant"])
        if isinstance(data.get("augmentation"), dict):
            data["augmentation"] = _augmentation(data["augmentation"])
        for name in ("milestones", "test_scales"):
            if isinstance(data.get(name), list):
                data[name] = tuple(data[name])
        return cls(**data)

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """
        Raises:
            ValueError: the text is no JSON object, or as `from_dict`.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError(f"a recipe is a JSON object, not {type(data).__name__}")
        return cls.from_dict(data)

    def changes_from(self, base: TrainConfig) -> dict[str, Any]:
        """The fields in which this recipe differs from `base`, as in `to_dict`."""
        mine, theirs = self.to_dict(), base.to_dict()
        return {name: value for name, value in mine.items() if value != theirs[name]}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_SWITCHES = ("nesterov", "channels_last", "compile", "deterministic", "sync_bn")
_OPTIONAL = {
    "image_size",
    "train_limit",
    "micro_batch",
    "clip_norm",
    "warmup_accuracy",
    "channels_last",
    "compile",
}
_LISTS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("milestones", lambda m: _is_real(m) and m > 0, "epochs above 0"),
    ("test_scales", lambda s: _is_whole(s) and 8 <= s <= 1024, "sides from 8 to 1,024 pixels"),
)
_WHOLE = {"image_size", "train_limit", "epochs", "batch_size", "micro_batch", "seed"}
_TINY = 1e-12
_LIMITS: dict[str, tuple[float, float, str]] = {
    "image_size": (8, 1024, "a whole number from 8 to 1,024, or None"),
    "train_limit": (2, 10**9, "a whole number from 2, or None"),
    "epochs": (1, 100_000, "a whole number from 1 to 100,000"),
    "batch_size": (2, 65_536, "a whole number from 2 to 65,536"),
    "micro_batch": (1, 65_536, "a whole number from 1, or None for the whole batch"),
    "seed": (0, 2**31 - 1, "a whole number from 0 to 2,147,483,647"),
    "lr": (_TINY, 1e4, "a number above 0 (0.1 is usual for SGD, 0.001 for Adam)"),
    "momentum": (0.0, 1 - _TINY, "a number from 0 to below 1"),
    "weight_decay": (0.0, 10.0, "a number from 0 to 10"),
    "warmup_epochs": (0.0, 1e5, "a number of epochs from 0"),
    "warmup_accuracy": (_TINY, 1.0, "a number above 0 and up to 1, or None"),
    "backbone_lr": (0.0, 1.0, "a number from 0 (frozen) to 1"),
    "checkpoint_minutes": (0.05, 1e6, "a number of minutes from 0.05"),
    "step_epochs": (_TINY, 1e5, "a number of epochs above 0"),
    "gamma": (_TINY, 1.0, "a number above 0 and up to 1"),
    "label_smoothing": (0.0, 1 - _TINY, "a number from 0 to below 1"),
    "clip_norm": (_TINY, 1e9, "a number above 0, or None"),
    "val_fraction": (0.01, 0.9, "a number from 0.01 to 0.9"),
}


def _augmentation(data: dict[str, Any]) -> Augmentation:
    """JSON has no tuples."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    if unknown := set(fields) - {f.name for f in dataclasses.fields(Augmentation)}:
        raise ValueError(f"augmentation has the unknown field {min(unknown)!r}")
    return Augmentation(**fields)
