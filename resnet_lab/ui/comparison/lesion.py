"""Blocks taken out of trained nets, one by one, many at once, or swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import cast

import plotly.graph_objects as go
import streamlit as st

from resnet_lab.analysis.lesions import (
    Lesion,
    Prepared,
    Series,
    path_lengths,
    remove_each,
    remove_random,
)
from resnet_lab.data import load_dataset
from resnet_lab.figures.lesions import Without, each_figure, paths_figure, random_figure
from resnet_lab.models.spec import BlockShape
from resnet_lab.runs import Run, RunError, load_run_model
from resnet_lab.runs.names import distinct_names
from resnet_lab.training.execution.device import device_name, pick_device
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import is_dark

PICTURES = 1000
MOST_NETS = 2
DRAWS = 3


@dataclass(frozen=True, eq=False)
class LesionSubject:
    """A trained net with the test images it is judged by; `version` changes with its checkpoint."""

    version: tuple[str, int]
    name: str
    plain: bool
    prepared: Prepared

    @property
    def places(self) -> tuple[BlockShape, ...]:
        return self.prepared.places

    @property
    def whole(self) -> float:
        """Accuracy of the whole net, percent."""
        return 100 * self.prepared.whole

    def record(self, lesion: Lesion) -> Without:
        """A lesion of this net, as figures have it."""
        changes = any(place.changes_shape for place in self.places if place.name in lesion.removed)
        return Without(self.name, self.plain, lesion.removed, 100 * lesion.accuracy, changes)


def lesion_view(runs: list[Run]) -> None:
    """The first residual and the first plain run, or the first two."""
    patients = _patients(first_pair(runs))
    if not patients:
        if not runs:
            st.info("Press **Race**, or choose trained runs above.", icon=":material/arrow_upward:")
        return
    for column, patient in zip(st.columns(len(patients), gap="large"), patients, strict=True):
        with column:
            _operate(patient)
    st.caption(
        "Without a block, a residual net keeps its shortcut; a plain net passes the block's input on, subsampled and "
        "zero-padded where the next block wants another shape. No training afterwards. float32 on "
        f"{escape_markdown(device_name(patients[0].prepared.labels.device))}."
    )
    with st.container(horizontal=True):
        if st.button("Remove each in turn", icon=":material/content_cut:"):
            _start_each(patients)
        if st.button("Remove k at random", icon=":material/casino:"):
            _start_random(patients)
    _series(patients)
    _paths(patients)


def first_pair(runs: list[Run]) -> list[Run]:
    """Residual first, then plain, whatever was chosen first."""
    kinds = [next((run for run in runs if run.config.spec.is_plain is kind), None) for kind in (False, True)]
    pair = [run for run in kinds if run is not None]
    return pair if len(pair) == MOST_NETS else runs[:MOST_NETS]


def _patients(runs: list[Run]) -> list[LesionSubject]:
    found = []
    for run, name in zip(runs, distinct_names(runs), strict=True):
        try:
            path = run.best_checkpoint
            version = run.id, path.stat().st_mtime_ns if path else 0
            found.append(LesionSubject(version, name, run.config.spec.is_plain, _prepared(version, run)))
        except (RunError, ValueError, OSError) as error:
            st.warning(escape_markdown(str(error)))
    return found


@st.cache_resource(max_entries=4, show_spinner="Reading the net …")
def _prepared(version: tuple[str, int], _run: Run) -> Prepared:
    net, device = load_run_model(_run), pick_device("auto")
    data = load_dataset(net.dataset, split="test", limit=PICTURES, image_size=net.image_size).to(device)
    return Prepared(net.model.to(device), net.inputs(data.images), data.labels)


def _operate(patient: LesionSubject) -> None:
    """The net's blocks to click on, and above them what is left without them."""
    st.markdown(f"**{escape_markdown(patient.name)}**")
    above = st.container()
    removed: list[str] = []
    for stage in dict.fromkeys(place.stage for place in patient.places):
        names = [place.name for place in patient.places if place.stage == stage]
        removed += st.pills(
            f"Take out of stage {stage}",
            names,
            selection_mode="multi",
            format_func=lambda name: name.removeprefix("layer"),
            key=f"comparison.out.{patient.name}.{stage}",
        )
    swapped = _swapped(patient)
    with above:
        try:
            left = 100 * _accuracy(patient.version, tuple(removed), swapped, patient.prepared)
        except ValueError as error:
            st.error(escape_markdown(f"{str(error)[0].upper()}{str(error)[1:]}."))
            return
        st.metric(
            f"Accuracy on {len(patient.prepared.labels):,} test images",
            f"{left:.1f} %",
            f"{left - patient.whole:+.1f} points" if removed or swapped else None,
        )


def _swapped(patient: LesionSubject) -> tuple[tuple[str, str], ...]:
    with st.popover("Swap two blocks", icon=":material/swap_horiz:"):
        names = [place.name for place in patient.places if not place.changes_shape]
        first = st.selectbox("This block", names, index=None, key=f"comparison.swap1.{patient.name}")
        second = st.selectbox("with this one", names, index=None, key=f"comparison.swap2.{patient.name}")
    return ((first, second),) if first and second and first != second else ()


@st.cache_data(max_entries=500, show_spinner="Asking the net …")
def _accuracy(
    version: tuple[str, int],
    removed: tuple[str, ...],
    swapped: tuple[tuple[str, str], ...],
    _prepared: Prepared,
) -> float:
    return _prepared.accuracy(removed, swapped)


def _start_each(patients: list[LesionSubject]) -> None:
    growing = [map(p.record, remove_each(p.prepared)) for p in patients]
    _start("comparison.each", patients, growing, sum(len(p.places) for p in patients))


def _start_random(patients: list[LesionSubject]) -> None:
    series = [Series(coarse_first(len(p.places)), DRAWS) for p in patients]
    growing = [map(p.record, remove_random(p.prepared, s)) for p, s in zip(patients, series, strict=True)]
    _start("comparison.random", patients, growing, sum(DRAWS * len(s.counts) for s in series))


def _start(key: str, patients: list[LesionSubject], growing: Sequence[Iterator[Without]], total: int) -> None:
    def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
        for at_once in zip_longest(*growing):  # one of each net in turn, so that they grow together
            for record in at_once:
                if record is not None:
                    report(record)
            if should_stop():
                return

    jobs.start(key, work, total, _versions(patients))


def _versions(patients: Iterable[LesionSubject]) -> list[tuple[str, int]]:
    return [patient.version for patient in patients]


def coarse_first(n: int) -> tuple[int, ...]:
    """1 to n, first every 2^i-th of them, then those between, so that a line shows its course early."""
    steps = [2**i for i in reversed(range(max(1, (n - 1).bit_length() - 1)))]
    return tuple(dict.fromkeys(count for step in steps for count in range(1, n + 1, step)))


def _series(patients: list[LesionSubject]) -> None:
    """Bars and lines, as far as they have grown."""
    whole = {p.name: p.whole for p in patients}
    names = [place.name for place in max((p.places for p in patients), key=len)]
    _follow(
        "comparison.each",
        patients,
        lambda found: each_figure(found, names, whole, is_dark()),
        "Each bar: accuracy without that block alone. Hatched: blocks that change the shape, whose shortcut subsamples "
        "and widens. Dashed: the whole net.",
    )
    _follow(
        "comparison.random",
        patients,
        lambda found: random_figure(found, whole, is_dark()),
        f"{DRAWS} random choices of each number of blocks, a mark each, and their mean; nets of one depth lose the "
        "same blocks. Veit et al. 2016 (Sec. 4.2) find that a residual net's error grows smoothly.",
    )


def _follow(
    key: str, patients: list[LesionSubject], draw: Callable[[list[Without]], go.Figure], caption: str
) -> None:
    """What the job has found."""
    job = jobs.current(key, _versions(patients))
    if job is None:
        return
    jobs.follow(job, lambda j: live_chart(draw(cast("list[Without]", list(j.records))), key=key))
    st.caption(caption)


def _paths(patients: list[LesionSubject]) -> None:
    residual = next((p for p in patients if not p.plain), None)
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
