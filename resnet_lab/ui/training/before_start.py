"""What the training page says, and asks, before a run starts."""

from __future__ import annotations

import streamlit as st

from resnet_lab.inspection.memory.step_memory import shortage
from resnet_lab.runs.files import RunError
from resnet_lab.training import TrainConfig
from resnet_lab.training.preflight import first_step, known_side, problems
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import problems_said


def may_start(config: TrainConfig) -> bool:
    """Shows why `config` cannot train; a step that is too large for the memory can be started all the same."""
    with problems_said(RunError):
        navigation.desk().admit(config)
        return _may_start(config)
    return False


def _may_start(config: TrainConfig) -> bool:
    side = known_side(config)
    found = problems(config, side) if side else []
    for problem in found:
        st.error(escape_markdown(problem))
    if found:
        return False
    step = first_step(config)
    lack = shortage(*step) if step else ""
    if not lack:
        return True
    st.warning(f"By the lab's estimate, {escape_markdown(lack)}.")
    return st.checkbox("Start anyway", key="training.anyway")
