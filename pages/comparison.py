"""Residual against plain: race them, then ask why."""

from resnet_lab.ui.common import navigation

navigation.begin("Comparison")


from resnet_lab.ui.common.widgets import one_of  # noqa: E402
from resnet_lab.ui.comparison.curves import choose_runs, compare_view  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.ui.comparison.depth import depth_view  # noqa: E402
from resnet_lab.ui.comparison.gradients import gradients_view  # noqa: E402
from resnet_lab.ui.comparison.lesion import lesion_view  # noqa: E402
from resnet_lab.ui.comparison.race import race_form  # noqa: E402
from resnet_lab.ui.comparison.responses import responses_view  # noqa: E402
from resnet_lab.ui.comparison.surface import surface_view  # noqa: E402

VIEWS = {
    "Curves": compare_view,
    "Depth": depth_view,
    "Gradients": gradients_view,
    "Responses": responses_view,
    "Lesion": lesion_view,
    "Surface": surface_view,
}

race_form()
runs = choose_runs()
view = one_of("View", list(VIEWS), key="why", default="Curves", label_visibility="collapsed")
VIEWS[view](runs)
