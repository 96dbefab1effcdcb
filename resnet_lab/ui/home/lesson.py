"""A guided experiment: predict, run, see, read why. What was found can be taken along as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import streamlit as st

from resnet_lab.figures.curves import Measure
from resnet_lab.figures.page import Heading, Part, html_page
from resnet_lab.runs import Run, RunError
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_curves import curve_charts
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import action, heading, is_dark, rerun_when_changed
from resnet_lab.ui.common.widgets import download, problems_said
from resnet_lab.ui.home.votes import count_vote, votes_view


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
    count_vote(key, lesson.choices, expected)
    votes_view(key, lesson.choices)
    seen = [run for run in navigation.runs() if run.status.state != "failed"]
    runs, missing = _found(lesson.configs, [run for run in seen if not run.is_recorded])
    recorded, without = _found(lesson.configs, [run for run in seen if run.is_recorded])
    if expected is None:
        st.caption(
            f"Choose an answer; then {'the experiment can begin' if without else 'you see what came out'}."
        )
    elif not missing and all(run.status.state == "completed" for run in runs):
        _reveal(key, lesson, expected, runs)
    elif not missing:
        _watch(lesson, runs)
    else:
        label = "Run the experiment" if without else "Run it here"
        with st.container(horizontal=True, vertical_alignment="center"):
            action(label, partial(navigation.desk().race, missing), "play_arrow", type="primary")
            st.caption(f"It takes {lesson.takes}; you can leave the page meanwhile.")
        if not without:
            _reveal(key, lesson, expected, recorded)


def _found(configs: Sequence[TrainConfig], runs: Sequence[Run]) -> tuple[list[Run], list[TrainConfig]]:
    """The newest run of each config, and the configs of which there is none."""
    newest = {run.config: run for run in reversed(runs)}
    return (
        [newest[config] for config in configs if config in newest],
        [config for config in configs if config not in newest],
    )


def _watch(lesson: Lesson, runs: Sequence[Run]) -> None:
    """Curves that grow, and a way on for runs that have halted."""
    for run in runs:
        status = run.status
        with st.container(horizontal=True, vertical_alignment="center"):
            heading(run, status)
            if not status.is_active and status.state != "completed":
                resume = partial(navigation.desk().resume, run.id)
                action("Resume", resume, "play_arrow", key=f"home.resume.{run.id}")
    curve_charts(runs, lesson.watch, "home.watch")
    rerun_when_changed(runs)


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
    told = f"You expected: **{escape_markdown(expected)}**. {_when(runs)}: **{escape_markdown(measured)}**."
    right = measured == expected
    (st.success if right else st.info)(told, icon=":material/check:" if right else ":material/lightbulb:")
    st.markdown(escape_markdown(finding.sentence))
    show_parts(finding.parts, key=f"home.{key}")
    st.subheader("Why", anchor=False)
    for paragraph in lesson.explanation.split("\n\n"):
        st.markdown(escape_markdown(paragraph))
    download(
        "This lesson as one HTML file",
        lambda: export(lesson, expected, finding, _when(runs)),
        f"resnet-lab-{key}.html",
        "text/html",
    )


def _when(runs: Sequence[Run]) -> str:
    """Measured on the reader's own runs, or on those that came with the lab."""
    if not any(run.is_recorded for run in runs):
        return "Measured"
    when = datetime.fromtimestamp(runs[0].status.created)
    return f"On runs recorded on {when.day} {when:%B %Y} ({runs[0].status.device})"


def export(lesson: Lesson, expected: str, finding: Finding, when: str = "Measured") -> str:
    """The lesson with what was predicted and found, as a page that opens offline."""
    parts: list[Part] = [
        lesson.setting,
        Heading("Prediction"),
        lesson.question,
        f"Expected: {expected}. {when}: {lesson.choices[finding.choice]}.",
        Heading("What was found"),
        finding.sentence,
        *finding.parts,
        Heading("Why"),
        *lesson.explanation.split("\n\n"),
    ]
    return html_page(lesson.title, parts)
