"""A guided experiment: predict, run, see, read why. What was found can be taken along as one HTML file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from resnet_lab.figures.curves import Measure, curve_figure
from resnet_lab.figures.page import Heading, Part, html_page
from resnet_lab.runs import Run, RunError
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.download import download
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import duration, escape_markdown
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import attempt, badge, curve, is_dark

REFRESH = 1.0  # seconds


@dataclass(frozen=True)
class Finding:
    """What an experiment showed: which of the lesson's choices holds, in words and figures."""

    choice: int
    sentence: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Lesson:
    """`find` measures on the finished runs of `configs`, which are trained first where they are not there yet."""

    key: str
    title: str
    setting: str
    question: str
    choices: tuple[str, ...]
    configs: tuple[TrainConfig, ...]
    takes: str
    watch: tuple[Measure, Measure]
    find: Callable[[Sequence[Run]], Finding]
    explanation: tuple[str, ...]


def lesson_view(lesson: Lesson) -> None:
    """The whole lesson, as far as the reader has come."""
    st.header(lesson.title, anchor=False)
    st.markdown(lesson.setting)
    expected = st.radio(
        f"**Predict first.** {lesson.question}",
        lesson.choices,
        index=None,
        key=f"home.expected.{lesson.key}",
        persist_state="session",
    )
    runs = find_runs(lesson.configs)
    missing = [config for config, run in zip(lesson.configs, runs, strict=True) if run is None]
    present = [run for run in runs if run is not None]
    if expected is None:
        st.caption("Choose an answer; then the experiment can begin.")
    elif missing:
        _begin(lesson, missing)
    elif not all(run.status.state == "completed" for run in present):
        _watch(lesson, present)
    else:
        _reveal(lesson, expected, present)


def find_runs(configs: Sequence[TrainConfig]) -> list[Run | None]:
    """For each config the newest run of it that was not given up, or None."""
    of: dict[TrainConfig, Run] = {}
    for run in navigation.store().list():
        if run.status.state != "failed":
            of.setdefault(run.config, run)
    return [of.get(config) for config in configs]


def _begin(lesson: Lesson, configs: Sequence[TrainConfig]) -> None:
    if st.button("Run the experiment", icon=":material/play_arrow:", type="primary"):
        try:
            navigation.manager().race(configs)
        except RunError as error:
            st.error(escape_markdown(str(error)))
        else:
            st.rerun()
    st.caption(f"It takes {lesson.takes}; you can leave the page meanwhile.")


def _watch(lesson: Lesson, runs: Sequence[Run]) -> None:
    """Curves that grow; once all runs have ended the page is drawn anew."""

    def draw() -> None:
        statuses = [run.status for run in runs]
        if not any(status.is_active for status in statuses) and active:
            st.rerun()
        for run, status in zip(runs, statuses, strict=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{escape_markdown(run.name)}**", width="content")
                badge(status)
                points = curve(run).points
                if status.is_active and points:
                    st.caption(f"{duration(points[-1].seconds_left)} of its own steps left")
                halted = not status.is_active and status.state != "completed"
                if halted and st.button("Resume", key=f"home.resume.{run.id}", icon=":material/play_arrow:"):
                    attempt(partial(navigation.manager().resume, run.id))
        curves = [curve(run) for run in runs]
        for measure, column in zip(lesson.watch, st.columns(2), strict=True):
            with column:
                live_chart(
                    curve_figure(curves, measure, smoothing=0.6, dark=is_dark()), key=f"home.watch.{measure}"
                )

    active = any(run.status.is_active for run in runs)
    st.fragment(draw, run_every=REFRESH if active else None)()


def _reveal(lesson: Lesson, expected: str, runs: Sequence[Run]) -> None:
    try:
        with st.spinner("Measuring"):
            finding = _found(lesson, runs)
    except (RunError, ValueError) as error:
        st.error(escape_markdown(str(error)))
        return
    measured = lesson.choices[finding.choice]
    told = f"You expected: **{escape_markdown(expected)}**. Measured: **{escape_markdown(measured)}**."
    right = measured == expected
    (st.success if right else st.info)(told, icon=":material/check:" if right else ":material/lightbulb:")
    st.markdown(escape_markdown(finding.sentence))
    show_parts(finding.parts, key=f"home.{lesson.key}")
    st.subheader("Why", anchor=False)
    for paragraph in lesson.explanation:
        st.markdown(escape_markdown(paragraph))
    download(
        "This lesson as one HTML file",
        lambda: export(lesson, expected, finding),
        f"resnet-lab-{lesson.key}.html",
        "text/html",
    )


def _found(lesson: Lesson, runs: Sequence[Run]) -> Finding:
    """Measured once for these runs in a session, and kept (a figure is drawn for the theme of the moment)."""
    key = (lesson.key, tuple(run.id for run in runs), is_dark())
    kept = st.session_state.setdefault("home.findings", {})
    if key not in kept:
        kept[key] = lesson.find(runs)
    return kept[key]


def export(lesson: Lesson, expected: str, finding: Finding) -> str:
    """The lesson with what was predicted and found, as a page that opens offline."""
    parts: list[Part] = [
        re.sub(r"\*\*", "", lesson.setting),
        Heading("Prediction"),
        lesson.question,
        f"Expected: {expected}. Measured: {lesson.choices[finding.choice]}.",
        Heading("What was found"),
        finding.sentence,
        *finding.parts,
        Heading("Why"),
        *lesson.explanation,
    ]
    return html_page(lesson.title, parts)
