"""Blocks taken out of trained nets by a click, swapped, one by one, or many at once."""

from __future__ import annotations

import streamlit as st

from resnet_lab.analysis.lesions import Prepared, path_lengths
from resnet_lab.experiments.lesion import LESION, RANDOM_LESION, LesionSettings, prepare
from resnet_lab.figures.lesions import paths_figure
from resnet_lab.runs import Run
from resnet_lab.training.execution.device import device_name
from resnet_lab.ui.common import fields
from resnet_lab.ui.common.experiment import ask_for_runs, experiment_view, pair_first, prepared_of
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import BY_VERSION, Version, is_dark, run_version


def lesion_view(runs: list[Run]) -> None:
    """The first residual and the first plain run, or the first two."""
    if not runs:
        ask_for_runs()
        return
    settings = fields.form(LesionSettings, "comparison.lesion", {})
    runs = pair_first(runs)[: LESION.most]
    nets, problems = prepared_of(_prepared, runs, settings)
    for problem in problems:
        st.warning(escape_markdown(problem))
    runs = [run for run in runs if run.id in nets]
    if not runs:
        return
    for column, run in zip(st.columns(len(runs), gap="large"), runs, strict=True):
        with column:
            _operate(nets[run.id], (run_version(run), settings.images))
    device = nets[runs[0].id].labels.device
    st.caption(
        "Without a block, a residual net keeps its shortcut; a plain net passes the block's input on, subsampled and "
        "zero-padded where the next block wants another shape. No training afterwards. float32 on "
        f"{escape_markdown(device_name(device))}."
    )
    for experiment in (LESION, RANDOM_LESION):
        experiment_view(experiment, runs, settings, prepare=lambda run, *_: nets[run.id])
    _paths(list(nets.values()))


_prepared = st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_VERSION)(prepare)


def _operate(net: Prepared, asked: tuple[Version, int]) -> None:
    """The net's blocks to click on, and above them what is left without them; `asked` says of what net and images."""
    st.markdown(f"**{escape_markdown(net.name)}**")
    above = st.container()
    removed: list[str] = []
    for stage in dict.fromkeys(place.stage for place in net.places):
        removed += st.pills(
            f"Take out of stage {stage}",
            [place.name for place in net.places if place.stage == stage],
            selection_mode="multi",
            format_func=lambda name: name.removeprefix("layer"),
            key=f"comparison.out.{net.name}.{stage}",
        )
    with st.popover("Swap two blocks", icon=":material/swap_horiz:"):
        names = [place.name for place in net.places if not place.changes_shape]
        first = st.selectbox("This block", names, index=None, key=f"comparison.swap1.{net.name}")
        second = st.selectbox("with this one", names, index=None, key=f"comparison.swap2.{net.name}")
    swapped = ((first, second),) if first and second and first != second else ()
    with above:
        try:
            left = 100 * _accuracy(asked, tuple(removed), swapped, net)
        except ValueError as error:
            st.error(escape_markdown(f"{str(error)[0].upper()}{str(error)[1:]}."))
            return
        st.metric(
            f"Accuracy on {len(net.labels):,} test images",
            f"{left:.1f} %",
            f"{left - 100 * net.whole.accuracy:+.1f} points" if removed or swapped else None,
        )


@st.cache_data(max_entries=500, show_spinner="Asking the net …")
def _accuracy(
    asked: tuple[Version, int], removed: tuple[str, ...], swapped: tuple[tuple[str, str], ...], _net: Prepared
) -> float:
    return _net.accuracy(removed, swapped)


def _paths(nets: list[Prepared]) -> None:
    residual = next((net for net in nets if not net.net.spec.is_plain), None)
    if residual is None:
        return
    n = len(residual.places)
    with st.expander(f"Paths through {escape_markdown(residual.name)}", icon=":material/route:"):
        live_chart(paths_figure(path_lengths(n), is_dark()), key="comparison.paths")
        st.caption(
            f"Unravelled, the net is 2^{n} paths, as each of its {n} blocks is passed or skipped (Veit et al. 2016, "
            "Sec. 3). A plain net has one path. Taking a block out halves the paths of a residual net and cuts the one "
            "of a plain net."
        )
