"""Launch a run, watch it, pause, stop and resume it."""

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Training")

from resnet_lab.runs import RunError  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.ui.common.markdown import escape_markdown  # noqa: E402
from resnet_lab.ui.common.runs import pick_run  # noqa: E402
from resnet_lab.ui.common.shared import choose_run, shared  # noqa: E402
from resnet_lab.ui.training.before_start import may_start  # noqa: E402
from resnet_lab.ui.training.lr_finder import lr_finder  # noqa: E402
from resnet_lab.ui.training.recipe import recipe_file, recipe_form  # noqa: E402
from resnet_lab.ui.training.run import run_view  # noqa: E402

form, view = st.columns([1, 2.6], gap="medium")
with form:
    config = recipe_form()
    problem = config if isinstance(config, str) else None
    if problem:
        st.error(escape_markdown(problem))
    ready = not isinstance(config, str) and may_start(config)
    pressed = st.button(
        "Train", icon=":material/play_arrow:", type="primary", width="stretch", disabled=not ready
    )
    if pressed and not isinstance(config, str):
        try:
            choose_run(navigation.desk().submit(config))
        except RunError as error:
            st.error(escape_markdown(str(error)))
    recipe_file(None if isinstance(config, str) else config)

with view:
    run = pick_run(st.query_params.get("run") or shared().run)
    if run is None:
        st.info(
            "Nothing has been trained yet. Press **Train**: the quick recipe takes about a minute on a laptop.",
            icon=":material/arrow_back:",
        )
    else:
        run_view(run)
    if not isinstance(config, str):
        lr_finder(config)
