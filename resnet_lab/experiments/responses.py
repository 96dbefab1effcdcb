"""How strongly do the layers of trained nets answer (He et al. 2015, Fig. 7)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from resnet_lab.analysis.records import LayerSeries
from resnet_lab.analysis.responses import layer_responses
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Subject, load_subject
from resnet_lab.figures.flow import responses_figure
from resnet_lab.figures.page import Chart, Part, Row
from resnet_lab.schema import Record, about, record


@record
class ResponseSettings(Record):
    what: ClassVar[str] = "a measurement of responses"
    images: Annotated[int, about("The first ones of the test set.", ge=1, examples=(200, 500, 1000))] = 500


def measure(subjects: Sequence[Subject], _: ResponseSettings) -> Iterator[LayerSeries]:
    """Of each net the standard deviations by layer, in eval mode and float32."""
    for s in subjects:
        yield LayerSeries(s.name, s.model.spec.is_plain, "response", layer_responses(s.model, s.images))


def report(records: Sequence[LayerSeries], settings: ResponseSettings, dark: bool) -> list[Part]:
    """In the order of the layers, and by size."""
    caption = (
        f"Standard deviation of each convolution's output after its BN, before ReLU and addition, on {settings.images} "
        "test images, best checkpoint, float32. The paper's Fig. 7 finds smaller responses in residual nets, and "
        "smaller ones the deeper they are: each block changes what passes through it only a little. In a run of a few "
        "hundred steps BN's weights have hardly left 1, where they start, and so every response is near 1."
    )
    return [Row([Chart(responses_figure(records, dark, ordered)) for ordered in (False, True)], caption)]


RESPONSES = Experiment(
    name="responses",
    question="how strongly the layers of trained runs answer",
    settings=ResponseSettings,
    prepare=lambda run, name, settings: load_subject(run, name, "test", settings.images),
    measure=measure,
    report=report,
    view="Responses",
)
