"""Any experiment on the page: its form, its work beside the page, and what it shows as it grows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from resnet_lab.experiments import experiments
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.page import Part, html_page
from resnet_lab.runs import Run, RunError
from resnet_lab.runs.names import distinct_names
from resnet_lab.schema import Record
from resnet_lab.training import TrainConfig
from resnet_lab.training.execution.device import device_name, pick_page_device
from resnet_lab.ui.common import fields, jobs, navigation
from resnet_lab.ui.common.markdown import duration, escape_markdown
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import attempt, curve, follow, is_dark, run_version, said_by
from resnet_lab.ui.common.shared import shared
from resnet_lab.ui.common.widgets import download

Prepare = Callable[[Run, str, Any], Any]
Then = Callable[[Sequence[Any], Any], None]  # takes all records and the settings


def view_of(label: str, runs: list[Run]) -> None:
    """The view of that label: all its experiments, one after the other."""
    for experiment in experiments().values():
        if experiment.view == label:
            experiment_view(experiment, runs)


def experiment_view(
    experiment: Experiment[Any, Any],
    runs: list[Run],
    settings: Record | None = None,
    prepare: Prepare | None = None,
    then: Then | None = None,
) -> None:
    """Asks for settings, and shows what has been found of the first runs by now.

    What runs tell is read again as long as they go on; all else is measured by a job, which the experiment's button
    starts, or the page itself. `settings` and `prepare` take the place of what the form and the experiment say; `then`
    adds to what is complete.
    """
    if experiment.prepare is not None and not runs:
        if experiment.trains:
            ask(experiment)
        ask_for_runs()
        return
    runs = pair_first(runs)[: experiment.most] if experiment.prepare else []
    settings, pressed = ask(experiment, settings)
    if settings is None:
        return

    key, report, job = _key(experiment), experiment.report, None
    if experiment.prepare is read_trace:
        follow(runs, lambda: show_parts(_told(experiment, runs, settings, is_dark()), key))
    else:
        job = _job(experiment, runs, settings, pressed, prepare or experiment.prepare)
        if job is None:
            return
        jobs.follow(job, lambda: show_parts(report(list(job.records), settings, is_dark()), key), every=0.3)
        if job.is_active or job.is_broken or not job.records:
            return
        if then is not None:
            then(job.records, settings)
        device = escape_markdown(device_name(pick_page_device()))
        st.caption(f"Measured in {duration(job.seconds)} on {device}.")

    def page() -> str:
        found = report(job.records, settings, False) if job else _told(experiment, runs, settings, False)
        return html_page(experiment.heading, found)

    download(
        f"{experiment.title} as one HTML file",
        page,
        f"{experiment.name}.html",
        "text/html",
        key=f"{key}.download",
    )


def _told(experiment: Experiment[Any, Any], runs: list[Run], settings: Record, dark: bool) -> list[Part]:
    """The report on what runs have told by now, made once for all who look at it."""

    def report() -> list[Part]:
        traces = [Trace(run, run.status, curve(run)) for run in runs]
        return experiment.report(list(experiment.measure(traces, settings)), settings, dark)

    said = [(said_by(run), run.status.to_json(), run.notes.to_json()) for run in runs]
    return _shared((experiment.name, json.dumps(settings.to_dict()), dark, said), report)


@st.cache_resource(max_entries=50, show_spinner=False)
def _shared(about: Any, _make: Callable[[], list[Part]]) -> list[Part]:
    return _make()


def ask_for_runs() -> None:
    st.info(
        "Press **Race**, or choose trained runs above: with 32 layers each net takes about a minute on a laptop.",
        icon=":material/arrow_upward:",
    )


def pair_first(runs: list[Run]) -> list[Run]:
    """The first residual net, then the first plain one, then the others."""
    kinds = [run.config.spec.is_plain for run in runs]
    pair = [runs[kinds.index(kind)] for kind in (False, True) if kind in kinds]
    return pair + [run for run in runs if run not in pair]


def ask(experiment: Experiment[Any, Any], settings: Record | None = None) -> tuple[Record | None, bool]:
    """What is set, None where it cannot be, and whether the button was pressed.

    Where the experiment trains its own runs, the button starts them, and the page compares them from then on.
    """
    groups: list[list[TrainConfig]] = []
    problem = ""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        try:
            settings = settings or fields.form(experiment.settings, _key(experiment), experiment.links)
            groups = experiment.trains(settings) if experiment.trains else []
        except ValueError as error:
            problem, settings = str(error), None
        nets = sum(map(len, groups))
        label = f"{experiment.button} {nets} nets" if nets > 1 else experiment.button
        icon = ":material/sports_score:" if experiment.trains else ":material/play_arrow:"
        pressed = bool(label) and st.button(label, icon=icon, type="primary", disabled=bool(problem))
    if problem:
        st.error(escape_markdown(f"{problem[0].upper()}{problem[1:]}."))
    if experiment.note:
        st.caption(escape_markdown(experiment.note))
    if pressed and experiment.trains:
        attempt(partial(_train, groups))
    return settings, pressed


def _train(groups: list[list[TrainConfig]]) -> None:
    shared().compared = ()
    for group in groups:
        shared().compared += tuple(navigation.desk().race(group))


def _job(
    experiment: Experiment[Any, Any],
    runs: list[Run],
    settings: Record,
    pressed: bool,
    prepare: Prepare | None,
) -> jobs.Job | None:
    """What measures these runs with these settings; begun now where that was asked for, or needs no button."""
    key = _key(experiment)
    asked = {name: value for name, value in settings.to_dict().items() if name not in experiment.looks}
    about = [run_version(run) for run in runs], asked
    job = jobs.current(key, about)
    if not pressed and (experiment.button or job):
        return job
    of_runs, problems = prepared_of(prepare, runs, settings) if prepare else ({}, [])
    prepared = list(of_runs.values())
    total = experiment.total(prepared, settings)
    return jobs.start(key, lambda _: experiment.measure(prepared, settings), total, about, problems)


def prepared_of(prepare: Prepare, runs: list[Run], settings: Any) -> tuple[dict[str, Any], list[str]]:
    """What is measured of the runs of which it can be had, by their ids, and what is wrong with the others."""
    prepared, problems = {}, []
    with st.spinner("Reading the nets …"):
        for run, name in zip(runs, distinct_names(runs), strict=True):
            try:
                prepared[run.id] = prepare(run, name, settings)
            except (RunError, ValueError, OSError) as error:
                problems.append(str(error))
    return prepared, problems


def _key(experiment: Experiment[Any, Any]) -> str:
    return f"{experiment.page}.{experiment.name}"
