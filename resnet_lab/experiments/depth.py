"""Does a deeper net end with a higher error: the degradation of He et al. 2015, Fig. 1 and 6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.depth import Ending, depth_figure
from resnet_lab.figures.page import Chart, Part
from resnet_lab.inspection.table.reference import cifar_error
from resnet_lab.models.cifar import DEPTHS, cifar_net, family
from resnet_lab.schema import Record, about, record


@record
class DepthSettings(Record):
    what: ClassVar[str] = "a degradation figure"
    error: Annotated[Literal["test", "training"], about("Of the last epoch where it is training's.")] = "test"
    paper: Annotated[bool, about("Errors in He et al. 2015, dashed.")] = True


def measure(traces: Sequence[Trace], _: object = None) -> Iterator[Ending]:
    """How each run of the CIFAR family ended; other nets, and runs not tested yet, are left out."""
    for trace in traces:
        net, accuracy = family(trace.run.config.spec), trace.status.test_accuracy
        if net is not None and accuracy is not None and trace.curve.epochs:
            training = 100 - 100 * trace.curve.epochs[-1].train_accuracy
            yield Ending(net[1], net[0], 100 - 100 * accuracy, training, trace.run.is_recorded)


def report(endings: Sequence[Ending], settings: DepthSettings, dark: bool) -> list[Part]:
    paper = _published() if settings.paper else []
    caption = (
        f"{len(endings)} finished runs{_of_which(endings)}; test error of the best weights by validation. A mark is "
        "a run, a line the mean over seeds. Degradation: a deeper plain net has the higher training error, so that "
        "it is no overfitting (He et al. 2015, Fig. 1 and 6)."
        + (" Dashed: the paper's ends on CIFAR-10, those of plain nets read off its Fig. 6." if paper else "")
    )
    return [Chart(depth_figure(endings, paper, dark, settings.error == "training"), caption)]


def _of_which(endings: Sequence[Ending]) -> str:
    recorded = sum(ending.is_recorded for ending in endings)
    if recorded in (0, len(endings)):
        return " that came with the lab" if recorded else ""
    return f", {recorded} of which came with the lab"


def _published() -> list[Ending]:
    return [
        Ending(kind, depth, error)
        for kind in ("A", "plain")
        for depth in DEPTHS
        if (error := cifar_error(cifar_net(depth, kind).name)) is not None
    ]


DEPTH = Experiment(
    name="depth",
    question="how the error of runs depends on their depth",
    settings=DepthSettings,
    prepare=read_trace,
    measure=measure,
    report=report,
    view="Depth",
)
