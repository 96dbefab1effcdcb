"""What a run is asked to do, as data: `TrainConfig`."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from resnet_lab.data import DATASETS, Augmentation
from resnet_lab.data.datasets import MAX_SIZE, MIN_SIZE, current_name
from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.variants import get_spec
from resnet_lab.schema import Record, about, fields_of, nested, record

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "multistep", "cosine", "onecycle"]
Precision = Literal["auto", "float32", "tf32", "bf16", "fp16"]
Text = Annotated[str, about(min_length=1)]
Epoch = Annotated[float, about(gt=0, le=1e5)]
TIMED = "Auto: the first steps are timed, and the fastest sound way is kept."


def _known_variant(value: Any) -> Any:
    if isinstance(value, str):
        get_spec(value)
    return value


def _known_dataset(value: Any) -> Any:
    if not isinstance(value, str) or value.startswith("folder:"):
        return value
    if current_name(value) not in DATASETS:
        raise ValueError(
            f"dataset is {reprlib.repr(value)}; it may be {', '.join(DATASETS)}, or folder:<path>"
        )
    return current_name(value)


@record
class TrainConfig(Record):
    """One training run; saved with it as JSON.

    Raises:
        SchemaError: naming the field, what it got and what it may be.
    """

    what: ClassVar[str] = "a recipe"

    variant: Annotated[
        str | ModelSpec,
        nested(ModelSpec),
        BeforeValidator(_known_variant),
        about("A variant's name, or any spec; its number of classes follows the data.", title="Net"),
    ] = "resnet20"
    dataset: Annotated[
        Text, BeforeValidator(_known_dataset), about("A data set's name, or folder:<path>.", title="Data")
    ] = "shapes"
    image_size: Annotated[
        int | None,
        about("None keeps the data set's own.", title="Input size", unit="px", ge=MIN_SIZE, le=MAX_SIZE),
    ] = None
    train_limit: Annotated[
        int | None,
        about("A balanced choice of the training images.", title="Use only", unit="images", ge=2, le=10**9),
    ] = None
    epochs: Annotated[int, about(ge=1, le=100_000)] = 5
    batch_size: Annotated[int, about("The last, smaller batch of an epoch is left out.", ge=2, le=65_536)] = (
        128
    )
    micro_batch: Annotated[
        int | None,
        about(
            "So many images pass through the net at once; gradients add up to those of the batch. BN sees these. "
            "None for the whole batch.",
            title="Micro-batch",
            ge=1,
            le=65_536,
        ),
    ] = None
    optimizer: Optimizer = "sgd"
    lr: Annotated[
        float, about("The peak; 0.1 is usual for SGD, 0.001 for Adam.", title="Learning rate", gt=0, le=1e4)
    ] = 0.1
    momentum: Annotated[float, about("Of SGD.", ge=0, lt=1)] = 0.9
    nesterov: Annotated[bool, about("Of SGD.")] = True
    weight_decay: Annotated[float, about(ge=0, le=10)] = 1e-4
    schedule: Annotated[
        Schedule,
        about(
            "step: times the factor every so many epochs; multistep: at each of the milestones; cosine: falls to 0; "
            "onecycle: rises for 30 % of the run, then falls (Smith and Topin 2018)."
        ),
    ] = "onecycle"
    warmup_epochs: Annotated[
        float,
        about("Linear, before any schedule but one-cycle.", title="Warm-up", unit="epochs", ge=0, le=1e5),
    ] = 0.0
    warmup_accuracy: Annotated[
        float | None,
        about(
            "A tenth of the rate until the training accuracy of 50 steps passes this, 0 to 1 (He et al. 2015, Sec. "
            "4.2: 0.2 for 110 layers). None for no such warm-up.",
            title="Warm-up until",
            gt=0,
            le=1,
        ),
    ] = None
    step_epochs: Annotated[Epoch, about("Of the schedule step.", title="Every", unit="epochs")] = 30.0
    milestones: Annotated[
        tuple[Epoch, ...],
        about(
            "Of the schedule multistep. Where none is given, half and three quarters of the epochs (He et al. 2015, "
            "Sec. 4.2: 32k and 48k of 64k steps).",
            title="At",
            unit="epochs",
            max_length=1000,
        ),
    ] = ()
    gamma: Annotated[float, about("Of the schedules step and multistep.", title="Factor", gt=0, le=1)] = 0.1
    label_smoothing: Annotated[float, about(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[
        float | None,
        about(
            "Gradients are scaled down to this norm; None for never.",
            title="Clip gradient norm at",
            gt=0,
            le=1e9,
        ),
    ] = None
    precision: Annotated[
        Precision, about(f"Of the forward and backward pass; weights stay float32. {TIMED}")
    ] = "auto"
    channels_last: Annotated[bool | None, about(f"NHWC or NCHW. {TIMED}", title="Memory format")] = None
    compile: Annotated[
        bool | None,
        about(
            "torch.compile, whose first step takes a minute or so, during which a stop has to wait. " + TIMED
        ),
    ] = None
    deterministic: Annotated[
        bool,
        about(
            "The same numbers bit for bit each time on this machine; auto then means float32, channels first, not "
            "compiled."
        ),
    ] = False
    weights: Annotated[
        Text | None,
        about(
            "None for fresh ones, “imagenet” for torchvision's (with ImageNet's mean and standard deviation), or the "
            "path of a file; a head for other classes is drawn afresh.",
            title="Initial weights",
        ),
    ] = None
    backbone_lr: Annotated[
        float,
        about(
            "A factor on the learning rate of all layers but the head; 0 freezes them, their BN statistics too.",
            title="Backbone learning rate ×",
            ge=0,
            le=1,
        ),
    ] = 1.0
    augmentation: Annotated[
        Augmentation, nested(Augmentation), about("On the device, training images only.")
    ] = dataclasses.field(default_factory=Augmentation)
    test_scales: Annotated[
        tuple[Annotated[int, about(ge=8, le=1024)], ...],
        about(
            "Test images are resized to each, whole; probabilities are averaged over them (He et al. 2015, Sec. "
            "3.4). Empty for the one centre crop.",
            title="Test at input sizes",
            unit="px",
            max_length=20,
        ),
    ] = ()
    val_fraction: Annotated[
        float, about("Of the training set, by the seed.", title="Held out for validation", ge=0.01, le=0.9)
    ] = 0.1
    seed: Annotated[int, about(ge=0, le=2**31 - 1)] = 0
    device: Annotated[Text, about("auto, cpu, cuda, cuda:1 or mps.")] = "auto"
    sync_bn: Annotated[
        bool, about("BN statistics over all GPUs of a distributed run.", title="BN over all GPUs")
    ] = False
    checkpoint_minutes: Annotated[
        float, about("And at the end of each epoch.", title="Checkpoint every", unit="min", ge=0.05, le=1e6)
    ] = 5.0

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Values that are possible by themselves and not with each other."""
        if self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            raise ValueError("nesterov is True with momentum 0; it needs a momentum above 0")
        if self.deterministic and self.compile:
            raise ValueError("compile is True in a deterministic run; it may be False there")
        if self.backbone_lr == 0 and self.weights is None:
            raise ValueError(
                "backbone_lr is 0 with fresh weights; it needs weights, as a frozen net of random layers learns nothing"
            )
        if self.schedule == "multistep" and not self.milestones:
            object.__setattr__(self, "milestones", (0.5 * self.epochs, 0.75 * self.epochs))
        return self

    @property
    def spec(self) -> ModelSpec:
        return get_spec(self.variant)

    @property
    def title(self) -> str:
        """How the screen calls the run: "resnet20 on shapes"."""
        return f"{self.spec.name} on {self.dataset.removeprefix('folder:').rstrip('/').split('/')[-1]}"

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> Self:
        """As `from_dict`, of a run or a checkpoint that an earlier version of the lab may have written."""
        if data.get("schedule") == "multistep" and not data.get("milestones"):
            data = {**data, "schedule": "constant"}  # which it was; today's always have milestones
        return cls.from_dict(data)

    def flat(self) -> dict[str, Any]:
        """Every setting by a name of its own: the net's name as "net", the recipe's, and those of the net's spec."""
        found = {"net": self.spec.name}
        for each in (self, self.augmentation, self.spec):
            found |= {name: getattr(each, name) for name in fields_of(type(each))}  # type: ignore[arg-type]
        return {k: v for k, v in found.items() if k not in ("variant", "augmentation", "name")}

    def changes_from(self, base: TrainConfig) -> dict[str, Any]:
        """The fields in which this recipe differs from `base`, as in `to_dict`."""
        own, others = self.to_dict(), base.to_dict()
        return {name: value for name, value in own.items() if value != others[name]}
