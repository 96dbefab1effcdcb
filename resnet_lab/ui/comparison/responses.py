"""How strongly the layers of trained nets answer (He et al. 2015, Fig. 7)."""

from __future__ import annotations

import streamlit as st

from resnet_lab.experiments.why import responses_of
from resnet_lab.figures.curves import DASHES
from resnet_lab.figures.flow import LayerSeries, responses_figure
from resnet_lab.runs import Run, RunError
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import is_dark

PICTURES = 500


def responses_view(runs: list[Run]) -> None:
    """Of every chosen run that has a checkpoint; the others are said."""
    if not runs:
        st.info("Press **Race**, or choose trained runs above.", icon=":material/arrow_upward:")
        return
    lines: list[LayerSeries] = []
    seen = {True: 0, False: 0}
    for run in runs:
        try:
            values, layers = _responses(run.id, _changed(run), run)
        except (RunError, ValueError) as error:
            st.warning(escape_markdown(str(error)))
            continue
        kind = run.config.spec.is_plain
        lines.append(
            LayerSeries(run.config.spec.name, kind, values, layers, DASHES[seen[kind] % len(DASHES)])
        )
        seen[kind] += 1
    if not lines:
        return
    left, right = st.columns(2)
    with left:
        live_chart(responses_figure(lines, is_dark()), key="comparison.responses")
    with right:
        live_chart(responses_figure(lines, is_dark(), ordered=True), key="comparison.ordered")
    st.caption(
        f"Standard deviation of each convolution's output after its BN, before ReLU and addition, on {PICTURES} test "
        "images, best checkpoint, float32. The paper's Fig. 7 finds smaller responses in residual nets, and smaller "
        "ones the deeper they are: each block changes what passes through it only a little. In a run of a few hundred "
        "steps BN's weights have hardly left 1, where they start, and so every response is near 1."
    )


def _changed(run: Run) -> int:
    path = run.best_checkpoint
    return path.stat().st_mtime_ns if path else 0


@st.cache_data(max_entries=50, show_spinner="Measuring responses …")
def _responses(run_id: str, changed: int, _run: Run) -> tuple[list[float], list[str]]:
    return responses_of(_run, PICTURES)
