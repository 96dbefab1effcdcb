"""A net with all that it takes to ask it: how an image becomes its input, and its outputs probabilities.

Runs, torchvision's weights and files of the reader all come as a `Classifier`; whatever asks a net asks one.
"""

from __future__ import annotations

import copy
import json
import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import InstanceOf
from torch import Tensor, nn

from resnet_lab.data.datasets import DATASETS, MAX_SIZE, MIN_SIZE, current_name
from resnet_lab.data.preprocess import image_to_tensor
from resnet_lab.data.transforms import center_crop, normalize, rescale
from resnet_lab.models.create import create_model
from resnet_lab.models.files.state_dicts import check_fit
from resnet_lab.models.resnet import ResNet
from resnet_lab.models.spec import ModelSpec
from resnet_lab.models.weights import WeightsError, imagenet_weights, load_all
from resnet_lab.schema import Annotated, ClassVar, Field, Record, nested, record

if TYPE_CHECKING:
    from PIL import Image

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation that torchvision's weights want
LARGEST, SMALLEST_STD = 1e3, 1e-6  # of mean and deviation, for pixels in 0..1
SHOWN_CLASSES = 3  # named when a net says what it was trained on

DESCRIBED = ("classes", "image_size", "mean", "std", "transform", "activation", "trained_on", "weights")

Rgb = tuple[float, float, float]
Text = Annotated[str, Field(max_length=1000)]  # pydantic refuses lone surrogates where it measures a length
Side = Annotated[int, Field(ge=8, le=4096)]


@record
class EvalTransform(Record):
    """How a net is shown images in a test: their middle, or the whole of them at several sizes.

    `crop` cuts out the middle of this side, in pixels. `scales` are sides to which images are resized whole;
    probabilities are averaged over them (He et al. 2015, Sec. 3.4). `resize` says how a file becomes an image of the
    net's size before that: "square" cuts its middle square out and scales it, bicubic, as data sets here are made;
    "short side" scales its short side, bilinear, as torchvision's presets do.
    """

    what: ClassVar[str] = "how a net is shown images"
    crop: Annotated[int | None, Field(ge=8, le=4096)] = None
    scales: tuple[Side, ...] = ()
    resize: Literal["square", "short side"] = "square"

    def view(self, images: Tensor) -> Tensor:
        """What the net sees in one look of images or masks (…, H, W): the middle; with `scales` the whole."""
        return images if self.crop is None or self.scales else center_crop(images, self.crop)

    def views(self, images: Tensor) -> list[Tensor]:
        """Each (N, 3, side, side), values 0..255."""
        return [rescale(images, side) for side in self.scales] or [self.view(images)]


@record
class Classifier(Record):
    """A net, and how it is to be fed and read.

    Args:
        model: in eval mode, wherever it is to answer.
        classes: one for each output; for a single output with a sigmoid two, of which it says how likely the second is.
        image_size: side in pixels of the images that `transform` begins with.
        mean, std: of each channel, for pixels in 0..1.
        dataset: the name under which this lab loads what it was trained on, "" where there is none.
        trained_on: what that is called, "" where nobody knows.
        weights: which ones these are, in words: "best weights, of step 1,234".

    Raises:
        SchemaError: naming the field, what it got and what it may be.
    """

    what: ClassVar[str] = "a classifier"
    model: InstanceOf[ResNet]
    classes: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100_000)]
    image_size: Annotated[int, Field(ge=MIN_SIZE, le=MAX_SIZE)]
    mean: Rgb
    std: Rgb
    transform: Annotated[EvalTransform, nested(EvalTransform)] = EvalTransform()
    activation: Literal["softmax", "sigmoid"] = "softmax"
    dataset: str = ""
    trained_on: Text = ""
    weights: Text = ""

    def __post_init__(self) -> None:
        for name, low in (("mean", -LARGEST), ("std", SMALLEST_STD)):
            if not all(low <= value <= LARGEST for value in getattr(self, name)):
                raise ValueError(
                    f"{name} is {getattr(self, name)}; each may be a number from {low:g} to {LARGEST:g}"
                )
        outputs, named = self.model.fc.out_features, len(self.classes)
        if self.activation == "sigmoid" and outputs != 1:
            raise ValueError(f"activation is 'sigmoid' with {outputs:,} outputs; it may be that of one")
        expected = 2 if self.activation == "sigmoid" else outputs
        if named != expected:
            raise ValueError(f"classes has {named:,} names; with {outputs:,} outputs it may be {expected:,}")

    @classmethod
    def load(cls, weights: Mapping[str, Tensor], said: Mapping[str, Any], source: str) -> Classifier:
        """The net of `said["spec"]` (as JSON) with these weights; the rest of `said` are fields of a classifier.

        Raises:
            WeightsError: the weights do not fit, or a field is missing or impossible; `source` names the file.
        """
        try:
            if not isinstance(said.get("spec"), str):
                raise ValueError(f"spec is {reprlib.repr(said.get('spec'))}; it may be a model spec as JSON")
            # On meta no weights are drawn, so a run that starts in another thread keeps those of its seed.
            with torch.device("meta"):
                model = create_model(ModelSpec.from_json(said["spec"]))
            state = dict(weights)
            check_fit(model, state, source)  # before memory is taken for a net that only the spec claims
            model = model.to_empty(device="cpu")
            for buffer in model.buffers():
                buffer.zero_()  # old files have no counters, which then begin anew
            load_all(model, state, source)
            said = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
            del said["spec"]
            return cls(model=model.eval(), **said)
        except WeightsError:
            raise
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise WeightsError(f"{source} cannot be used: {reason}.") from None

    @property
    def side(self) -> int:
        """Of what the net sees in one look, in pixels."""
        crop = None if self.transform.scales else self.transform.crop
        return min(crop or self.image_size, self.image_size)

    @property
    def scope(self) -> str:
        """What it was trained on and so can answer, in words: "Shapes (10 classes: circle, square, triangle, …)"."""
        first = ", ".join(self.classes[:SHOWN_CLASSES]) + (", …" if len(self.classes) > SHOWN_CLASSES else "")
        return f"{self.trained_on or 'data that its file does not name'} ({len(self.classes):,} classes: {first})"

    def prepare(self, image: Image.Image) -> Tensor:
        """What the net sees of an RGB image of any size: uint8 (3, side, side)."""
        if self.transform.resize == "square":
            return self.transform.view(image_to_tensor(image, self.image_size))
        from torchvision import transforms  # here, as it takes a while

        from resnet_lab.data.views import at_short_side

        scaled = at_short_side(image, self.image_size, transforms.InterpolationMode.BILINEAR)
        return transforms.functional.center_crop(scaled, [self.side])

    def inputs(self, images: Tensor) -> Tensor:
        """One look at images uint8 (N, 3, H, W), as the model takes it: float32, normalised."""
        return normalize(self.transform.view(images), self.mean, self.std)

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Of each class, float32 (N, classes), for images uint8 (N, 3, H, W): the mean over the views."""
        found = []
        for view in self.transform.views(images):
            logits = self.model(normalize(view, self.mean, self.std)).float()
            if self.activation == "sigmoid":
                logits = torch.cat([-logits / 2, logits / 2], 1)
            found.append(logits.log_softmax(1))
        if len(found) == 1:
            return found[0]
        return torch.stack(found).logsumexp(0) - torch.tensor(float(len(found))).log()

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """The outputs after their activation, float32: probabilities (N, classes); of a sigmoid (N, 1)."""
        found = self.log_probabilities(images).exp()
        return found[:, 1:] if self.activation == "sigmoid" else found

    def per_class(self) -> Classifier:
        """The same answers from a net with an output for each class, for whoever explains or lists classes.

        With z the output of a sigmoid, σ(z) and 1 − σ(z) are the softmax of z/2 and −z/2.
        """
        if self.activation == "softmax":
            return self
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            half = (torch.cat([-parameter / 2, parameter / 2]) for parameter in self.model.fc.parameters())
            model.fc.weight, model.fc.bias = (nn.Parameter(values) for values in half)
        model.fc.out_features = 2
        model.spec = model.spec.replace(num_classes=2)
        return self.replace(model=model, activation="softmax")

    def describe(self) -> dict[str, Any]:
        """All that a file should say of it beside the weights, for `load`; the path of a data folder is not in it."""
        said = {name: getattr(self, name) for name in DESCRIBED}
        return said | {"transform": self.transform.to_dict(), "spec": self.model.spec.to_json()}

    def metadata(self) -> dict[str, str]:
        """`describe` for files whose metadata are text: each value as JSON, the spec as it is."""
        said = self.describe()
        return {"spec": said.pop("spec")} | {name: json.dumps(value) for name, value in said.items()}

    @staticmethod
    def read_metadata(texts: Mapping[str, str]) -> dict[str, Any]:
        """What `metadata` wrote, as `load` takes it; texts of other programs are left out.

        Raises:
            ValueError: one of ours is no JSON.
        """
        said: dict[str, Any] = {"spec": texts["spec"]} if "spec" in texts else {}
        for name in DESCRIBED:
            if name in texts:
                try:
                    said[name] = json.loads(texts[name])
                except (ValueError, RecursionError):
                    raise ValueError(f"{name} is {reprlib.repr(texts[name])}; it may be JSON") from None
        return said


def imagenet_classifier(variant: str, tag: str = "DEFAULT") -> Classifier:
    """A variant with torchvision's weights, fed as their preset does.

    Raises:
        WeightsError: as `imagenet_weights`.
    """
    found = imagenet_weights(variant, tag)
    preset = found.transform
    return Classifier(
        found.model,
        found.categories,
        image_size=preset.resize_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        transform=EvalTransform(preset.crop_size[0], resize="short side"),
        trained_on="ImageNet",
        weights=found.tag,
    )


def dataset_title(name: str) -> str:
    """How the screen calls a data set: "Shapes", or the name of a folder."""
    if (known := DATASETS.get(current_name(name))) is not None:
        return known.title
    folder = name.removeprefix("folder:").rstrip("/").rpartition("/")[2]
    return folder.encode(errors="replace").decode()  # a folder's name may hold bytes that are no text
