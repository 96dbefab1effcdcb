"""What may happen to a training image, as data: `Augmentation`; `transforms` does it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from resnet_lab.schema import Record, about, record

Scale = Annotated[float, about(ge=1, le=4)]


@record
class Augmentation(Record):
    """What may happen to a training image.

    The defaults are those of the CIFAR nets: "4 pixels are padded on each side, and a 32 × 32 crop is randomly
    sampled from the padded image or its horizontal flip" (He et al. 2016, arXiv:1512.03385, section 4.2).

    Raises:
        SchemaError: naming the field, what it got and what it may be.
    """

    what: ClassVar[str] = "an augmentation"

    crop_padding: Annotated[
        int,
        about(
            "Of black on each side, before a crop at random.", title="Pad and crop", unit="px", ge=0, le=1024
        ),
    ] = 4
    flip: Annotated[bool, about("Half of the images, at random.", title="Horizontal flip")] = True
    colour_jitter: Annotated[
        float,
        about(
            "Brightness, contrast and saturation, in this order, each times a factor from 1 - this to 1 + this.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    scale_jitter: Annotated[
        tuple[Scale, Scale] | None,
        about(
            "Each image by its own factor between the two, before the crop; 1 to 1.875 with a crop of 224 on "
            "256-pixel images is the paper's short side from 256 to 480 (section 3.4).",
            title="Enlarge",
        ),
    ] = None
    crop_size: Annotated[
        int | None,
        about(
            "Training: anywhere. Validation and test: the middle. None keeps the images' own size.",
            title="Cut to",
            unit="px",
            ge=8,
            le=1024,
        ),
    ] = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.scale_jitter is not None and self.scale_jitter[0] > self.scale_jitter[1]:
            raise ValueError(
                f"scale_jitter is {self.scale_jitter}; it may be (low, high), 1 ≤ low ≤ high ≤ 4"
            )
        return self
