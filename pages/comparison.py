"""Residual against plain: race them, then ask why."""

from functools import partial

from resnet_lab.ui.common import navigation

navigation.begin("Comparison")


from resnet_lab.experiments import experiments  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.experiments.race import RACE  # noqa: E402
from resnet_lab.ui.common.experiment import ask, view_of  # noqa: E402
from resnet_lab.ui.common.widgets import one_of  # noqa: E402
from resnet_lab.ui.comparison.depth import depth_view  # noqa: E402
from resnet_lab.ui.comparison.gradients import gradients_view  # noqa: E402
from resnet_lab.ui.comparison.lesion import lesion_view  # noqa: E402
from resnet_lab.ui.comparison.runs import choose_runs  # noqa: E402

MORE = {"Depth": depth_view, "Gradients": gradients_view, "Lesion": lesion_view}  # than inputs and figures

ask(RACE)
runs = choose_runs()
labels = dict.fromkeys(each.view for each in experiments().values() if each.view)
label = one_of("Experiment", list(labels), key="experiment", default="Curves", label_visibility="collapsed")
MORE.get(label, partial(view_of, label))(runs)
