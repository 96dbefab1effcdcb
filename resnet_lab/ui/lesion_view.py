"""Blocks taken out of trained nets, one by one, many at once, or swapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from torch import Tensor

from resnet_lab.analysis.lesion import (
    BlockPlace,
    Lesion,
    Series,
    accuracy,
    blocks,
    lesioned,
    path_lengths,
    remove_each,
    remove_random,
)
from resnet_lab.data import load_dataset, normalize
from resnet_lab.figures.lesion import Without, each_figure, paths_figure, random_figure
from resnet_lab.models import ResNet
from resnet_lab.runs import Run, RunError, load_run_model
from resnet_lab.runs.names import distinct_names
from resnet_lab.ui import jobs
from resnet_lab.ui.live_chart import live_chart
from resnet_lab.ui.runs import is_dark
from resnet_lab.ui.text import plain

PICTURES = 1000
MOST_NETS = 2
DRAWS = 3
MOST_COUNTS = 9  # numbers of blocks in the random series


@dataclass(frozen=True)
class Patient:
    """A trained net with the test pictures it is judged by."""

    run_id: str
    name: str
    plain: bool
    model: ResNet
    images: Tensor
    labels: Tensor
    places: tuple[BlockPlace, ...]
    whole: float  # accuracy of the whole net, percent

    def tell(self, report: jobs.Report) -> Callable[[Lesion], None]:
        """Reports a lesion as a record of this net."""
        shapes = {place.name for place in self.places if place.changes_shape}

        def told(lesion: Lesion) -> None:
            changes = not shapes.isdisjoint(lesion.removed)
            report(Without(self.name, self.plain, lesion.removed, 100 * lesion.accuracy, changes))

        return told


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


def _patients(runs: list[Run]) -> list[Patient]:
    found = []
    for run, name in zip(runs, distinct_names(runs), strict=True):
        try:
            path = run.best_checkpoint
            found.append(_patient(run.id, path.stat().st_mtime_ns if path else 0, name, run))
        except (RunError, ValueError) as error:
            st.warning(plain(str(error)))
    return found


@st.cache_resource(max_entries=4, show_spinner="Reading the net …")
def _patient(run_id: str, changed: int, name: str, _run: Run) -> Patient:
    trained = load_run_model(_run)
    data = load_dataset(trained.dataset, split="test", limit=PICTURES, image_size=trained.image_size)
    images = normalize(data.images, trained.mean, trained.std)
    whole = 100 * accuracy(trained.model, images, data.labels)
    kind = _run.config.spec.is_plain
    return Patient(
        run_id, name, kind, trained.model, images, data.labels, tuple(blocks(trained.model)), whole
    )


def _operate(patient: Patient) -> None:
    """The net's blocks to click on, and what is left without them."""
    st.markdown(f"**{plain(patient.name)}**")
    removed: list[str] = []
    for stage in dict.fromkeys(place.stage for place in patient.places):
        names = [place.name for place in patient.places if place.stage == stage]
        removed += st.pills(
            f"Take out of stage {stage}",
            names,
            selection_mode="multi",
            format_func=lambda name: name.removeprefix("layer"),
            key=f"out.{patient.name}.{stage}",
        )
    swapped = _swapped(patient)
    try:
        left = 100 * _accuracy(patient.run_id, tuple(removed), swapped, patient.whole, patient)
    except ValueError as error:
        st.error(plain(f"{str(error)[0].upper()}{str(error)[1:]}."))
        return
    st.metric(
        f"Accuracy on {len(patient.labels):,} test pictures",
        f"{left:.1f} %",
        f"{left - patient.whole:+.1f} points" if removed or swapped else None,
    )


def _swapped(patient: Patient) -> tuple[tuple[str, str], ...]:
    with st.popover("Swap two blocks", icon=":material/swap_horiz:"):
        names = [place.name for place in patient.places if not place.changes_shape]
        first = st.selectbox("This block", names, index=None, key=f"swap1.{patient.name}")
        second = st.selectbox("with this one", names, index=None, key=f"swap2.{patient.name}")
    return ((first, second),) if first and second and first != second else ()


@st.cache_data(max_entries=500, show_spinner=False)
def _accuracy(
    run_id: str,
    removed: tuple[str, ...],
    swapped: tuple[tuple[str, str], ...],
    whole: float,
    _patient: Patient,
) -> float:
    if not removed and not swapped:
        return _patient.whole / 100
    return accuracy(lesioned(_patient.model, removed, swapped), _patient.images, _patient.labels)


def _start_each(patients: list[Patient]) -> None:
    def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
        for patient in patients:
            remove_each(patient.model, patient.images, patient.labels, patient.tell(report), should_stop)

    jobs.start("lesion-each", work, sum(len(p.places) for p in patients))


def _start_random(patients: list[Patient]) -> None:
    def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
        for patient in patients:
            series = Series(tuple(_counts(patient)), DRAWS)
            remove_random(
                patient.model, patient.images, patient.labels, series, patient.tell(report), should_stop
            )

    jobs.start("lesion-random", work, sum(DRAWS * len(_counts(p)) for p in patients))


def _counts(patient: Patient) -> list[int]:
    """1 to n, or a spread of them: each costs a pass of all pictures."""
    n = len(patient.places)
    return sorted({round(1 + i * (n - 1) / (MOST_COUNTS - 1)) for i in range(MOST_COUNTS)})


def _series(patients: list[Patient]) -> None:
    """Bars and lines, as far as they have grown."""
    whole = {p.name: p.whole for p in patients}
    longest = max(patients, key=lambda p: len(p.places))
    names = [place.name for place in longest.places]
    if (job := jobs.current("lesion-each")) is not None:
        jobs.follow(
            job,
            lambda j: live_chart(each_figure(list(j.records), names, whole, is_dark()), key="lesion-each"),
        )
        st.caption(
            "Each bar: accuracy without that block alone. Hatched: blocks that change the shape, of which the shortcut "
            "(in a plain net: subsampling and zero-padding) is left. Dashed: the whole net."
        )
    if (job := jobs.current("lesion-random")) is not None:
        jobs.follow(
            job, lambda j: live_chart(random_figure(list(j.records), whole, is_dark()), key="lesion-random")
        )
        st.caption(
            f"Each mark: {DRAWS} random choices for each number of blocks, the same ones in both nets. Veit et al. "
            "2016 (Sec. 4.2) find that a residual net's error grows smoothly."
        )


def _paths(patients: list[Patient]) -> None:
    residual = next((p for p in patients if not p.plain), None)
    if residual is None:
        return
    n = len(residual.places)
    with st.expander(f"Paths through {plain(residual.name)}", icon=":material/route:"):
        live_chart(paths_figure(path_lengths(n), is_dark()), key="paths")
        st.caption(
            f"Unravelled, the net is 2^{n} paths, as each of its {n} blocks is passed or skipped (Veit et al. 2016, "
            "Sec. 3). A plain net has one path. Taking a block out halves the paths of a residual net and cuts the one "
            "of a plain net."
        )
