"""A guided experiment: predict, run, see, read why. What was found can be taken along as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from resnet_lab.figures.curves import Measure
from resnet_lab.figures.page import Heading, Part, html_page
from resnet_lab.runs import Run, RunError
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import duration, escape_markdown
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import action, curve, curve_charts, follow, heading, is_dark
from resnet_lab.ui.common.widgets import download, problems_said


@dataclass(frozen=True)
class Finding:
    """What an experiment showed: which of the lesson's choices holds, in words and figures."""

    choice: int
    sentence: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Lesson:
    """`find` measures on the finished runs of `configs`, which are trained first where they are not there yet."""

    title: str
    setting: str
    question: str
    choices: tuple[str, ...]
    configs: tuple[TrainConfig, ...]
    takes: str
    find: Callable[[Sequence[Run]], Finding]
    explanation: str  # paragraphs
    watch: tuple[Measure, Measure] = ("accuracy", "loss")


def lesson_view(key: str, lesson: Lesson) -> None:
    """As far as the reader has come."""
    st.header(lesson.title, anchor=False)
    st.markdown(lesson.setting)
    expected = st.radio(
        f"**Predict first.** {lesson.question}",
        lesson.choices,
        index=None,
        key=f"home.expected.{key}",
        persist_state="session",
    )
    newest: dict[TrainConfig, Run] = {}  # of each config, and not given up
    for run in navigation.store().list():
        if run.status.state != "failed":
            newest.setdefault(run.config, run)
    runs = [newest[config] for config in lesson.configs if config in newest]
    missing = [config for config in lesson.configs if config not in newest]
    if expected is None:
        st.caption("Choose an answer; then the experiment can begin.")
    elif missing:
        action(
            "Run the experiment", partial(navigation.manager().race, missing), "play_arrow", type="primary"
        )
        st.caption(f"It takes {lesson.takes}; you can leave the page meanwhile.")
    elif not all(run.status.state == "completed" for run in runs):
        follow(runs, partial(_watch, lesson, runs))
    else:
        _reveal(key, lesson, expected, runs)


def _watch(lesson: Lesson, runs: Sequence[Run]) -> None:
    """Curves that grow, and a way on for runs that have halted."""
    for run in runs:
        status, points = run.status, curve(run).points
        with st.container(horizontal=True, vertical_alignment="center"):
            heading(run, status)
            if status.is_active and points:
                st.caption(f"{duration(points[-1].seconds_left)} of its own steps left")
            if not status.is_active and status.state != "completed":
                resume = partial(navigation.manager().resume, run.id)
                action("Resume", resume, "play_arrow", key=f"home.resume.{run.id}")
    curve_charts(runs, lesson.watch, "home.watch")


def _reveal(key: str, lesson: Lesson, expected: str, runs: Sequence[Run]) -> None:
    # Once for these runs in a session; a figure is drawn for the theme of the moment.
    asked = (key, tuple(run.id for run in runs), is_dark())
    kept = st.session_state.setdefault("home.findings", {})
    with problems_said(RunError, ValueError), st.spinner("Measuring"):
        if asked not in kept:
            kept[asked] = lesson.find(runs)
    finding: Finding | None = kept.get(asked)
    if finding is None:
        return
    measured = lesson.choices[finding.choice]
    told = f"You expected: **{escape_markdown(expected)}**. Measured: **{escape_markdown(measured)}**."
    right = measured == expected
    (st.success if right else st.info)(told, icon=":material/check:" if right else ":material/lightbulb:")
    st.markdown(escape_markdown(finding.sentence))
    show_parts(finding.parts, key=f"home.{key}")
    st.subheader("Why", anchor=False)
    for paragraph in lesson.explanation.split("\n\n"):
        st.markdown(escape_markdown(paragraph))
    download(
        "This lesson as one HTML file",
        lambda: export(lesson, expected, finding),
        f"resnet-lab-{key}.html",
        "text/html",
    )


def export(lesson: Lesson, expected: str, finding: Finding) -> str:
    """The lesson with what was predicted and found, as a page that opens offline."""
    parts: list[Part] = [
        lesson.setting,
        Heading("Prediction"),
        lesson.question,
        f"Expected: {expected}. Measured: {lesson.choices[finding.choice]}.",
        Heading("What was found"),
        finding.sentence,
        *finding.parts,
        Heading("Why"),
        *lesson.explanation.split("\n\n"),
    ]
    return html_page(lesson.title, parts)
