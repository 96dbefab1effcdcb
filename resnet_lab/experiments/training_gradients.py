"""How do gradients reach the layers as training goes on?"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_lab.experiments.experiment import Experiment, NoSettings
from resnet_lab.experiments.gradients import number
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.curves import Curve
from resnet_lab.figures.flow import gradient_map, gradient_range
from resnet_lab.figures.page import Chart, Heading, Part, Row


def report(traces: Sequence[Trace], _: NoSettings, dark: bool) -> list[Part]:
    curves = [trace.curve for trace in traces]
    parts: list[Part] = [Heading("As training goes on")]
    silent = [curve.name for curve in curves if not curve.gradients]
    parts += [f"{name} has told of no gradients yet; runs of older versions never do." for name in silent]
    if known := [curve for curve in curves if curve.gradients]:
        limits = gradient_range([curve.gradients for curve in known])

        def chart(curve: Curve) -> Chart:
            layers = curve.started.layers if curve.started else ()
            return Chart(gradient_map(curve.name, curve.gradients, layers, limits, dark))

        caption = "Norm of each convolution's gradient in the steps of the run, one colour scale for all. "
        parts.append(Row(list(map(chart, known)), caption + " ".join(map(_first_and_last, known))))
    return parts


def _first_and_last(curve: Curve) -> str:
    """How the ratio between first and last layer changes from the first to the last record."""
    told = [g for g in (curve.gradients[0], curve.gradients[-1]) if g.norms and g.norms[-1]]
    if len(told) < 2:
        return ""
    ratios = [f"{number(g.norms[0] / g.norms[-1])} × at step {g.step:,}" for g in told]
    return f"{curve.name}: first layer over last {', '.join(ratios)}."


TRAINING_GRADIENTS = Experiment(
    name="training-gradients",
    question="gradients of each layer as runs were trained",
    settings=NoSettings,
    prepare=read_trace,
    report=report,
    view="Gradients",
    most=4,
)
