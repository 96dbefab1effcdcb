"""Residual against plain: race them, then ask why."""

from resnet_lab.ui import shell

shell.begin("Comparison")


from resnet_lab.ui.compare_view import choose_runs, compare_view  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.ui.depth_view import depth_view  # noqa: E402
from resnet_lab.ui.gradients_view import gradients_view  # noqa: E402
from resnet_lab.ui.lesion_view import lesion_view  # noqa: E402
from resnet_lab.ui.race_form import race_form  # noqa: E402
from resnet_lab.ui.responses_view import responses_view  # noqa: E402
from resnet_lab.ui.state import one_of  # noqa: E402
from resnet_lab.ui.surface_view import surface_view  # noqa: E402

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
