"""Curves of runs that go on: the page names them once, the browser asks for what is new, and no script is run for it.

docs/decisions/live-chart.md says why.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import get_args
from urllib.parse import urlencode

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from resnet_lab.figures.curves import MEASURES, Axis, Measure, curve_figure
from resnet_lab.runs import Run, RunError
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.feed import Drawn, Feed
from resnet_lab.ui.common.live_chart import component, plotly_address
from resnet_lab.ui.common.markdown import duration, facts_html, percent
from resnet_lab.ui.common.runs import curve, is_dark, said_by

ADDRESS = "live"
EVERY = 1.0  # seconds
MOST = 12  # runs


def curve_charts(
    runs: Sequence[Run],
    measures: Sequence[Measure],
    key: str,
    axis: Axis = "epoch",
    smoothing: float = 0.6,
    with_numbers: bool = False,
) -> None:
    """The curves of `runs` in each of the measures, side by side; they grow while one of the runs goes on.

    Above them, how far each run is that goes on, and `with_numbers` the newest numbers of the first.
    """
    look = {"axis": axis, "smoothing": smoothing, "dark": int(is_dark()), "numbers": int(with_numbers)}
    query = urlencode({"runs": ",".join(run.id for run in runs), "measures": ",".join(measures), **look})
    every = EVERY if any(run.status.is_active for run in runs) else 0
    data = {
        "source": f"{ADDRESS}?{query}",
        "figures": len(measures),
        "every": every,
        "library": plotly_address(),
    }
    component("live_curves", isolate_styles=False)(data=data, key=key, height="content")


def answer(request: Request) -> Response:
    """What the browser asks for: as JSON, a figure for each measure, and the line above them.

    `has` names the figures that it holds whole. Bad questions are answered by 400, runs that are gone by 404.
    """
    asked = request.query_params
    measures, axis, has = (
        asked.get("measures", "").split(","),
        asked.get("axis"),
        asked.get("has", "").split(","),
    )
    try:
        smoothing, dark = float(asked.get("smoothing", "")), asked.get("dark") == "1"
        ids = asked.get("runs", "").split(",")
        if not set(measures) <= set(MEASURES) or axis not in get_args(Axis) or len(ids) > MOST:
            raise ValueError
        if not 0 <= smoothing < 1 or len(measures) > len(MEASURES):
            raise ValueError
    except ValueError:
        return PlainTextResponse("There are no such curves.", 400)
    try:
        head, drawn = _moment(ids, measures, axis, smoothing, dark, asked.get("numbers") == "1")  # type: ignore[arg-type]
    except RunError as error:
        return PlainTextResponse(str(error), 404)
    has += [""] * len(drawn)
    figures = [each.for_whom_has(name) for each, name in zip(drawn, has, strict=False)]
    return Response(json.dumps({"head": head, "figures": figures}), media_type="application/json")


@st.cache_resource(show_spinner=False, max_entries=100, ttl=EVERY / 2)
def _moment(
    ids: list[str], measures: list[Measure], axis: Axis, smoothing: float, dark: bool, numbers: bool
) -> tuple[str, list[Drawn]]:
    """The line above the figures, and these: read once for all who ask in the same half second.

    Raises:
        RunError: one of the runs is not there.
    """
    runs = [navigation.store().get(run_id) for run_id in ids]
    said = [said_by(run) for run in runs]
    drawn = [drawn_of(said, measure, axis, smoothing, dark, runs) for measure in measures]
    return head_of(runs, numbers), drawn


@st.cache_resource(show_spinner=False, max_entries=100)
def drawn_of(
    said: list[tuple[str, int, str]],
    measure: Measure,
    axis: Axis,
    smoothing: float,
    dark: bool,
    _runs: Sequence[Run],
) -> Drawn:
    """The figure of curves that have `said` so much: drawn once for all who look at it."""
    figure = curve_figure([curve(run) for run in _runs], measure, axis, smoothing, dark)
    return _feed([run.id for run in _runs], measure, axis, smoothing, dark).next(figure)


@st.cache_resource(show_spinner=False, max_entries=100)
def _feed(*look: object) -> Feed:
    return Feed()


def head_of(runs: Sequence[Run], with_numbers: bool) -> str:
    """HTML: a bar for each run that goes on, and the numbers of the first."""
    bars = "".join(_bar(run, "" if len(runs) == 1 else f"{run.name}: ") for run in runs)
    return bars + (_numbers(runs[0]) if with_numbers else "")


def _bar(run: Run, name: str) -> str:
    status, points = run.status, curve(run).points
    if not status.is_active:
        return ""
    if status.state == "queued" or not status.total_steps:
        from resnet_lab.ui.common.queue import waiting

        text, done = status.message or waiting(run, curve), 0.0
    else:
        text, done = f"Step {status.step:,} of {status.total_steps:,}", status.step / status.total_steps
        text += f" · {duration(points[-1].seconds_left)} left" if points else ""
    return f'<label class="bar">{escape(name + text)}<progress value="{min(done, 1):.4f}"></progress></label>'


def _numbers(run: Run) -> str:
    """The newest of everything, on one line."""
    records = curve(run)
    last = records.points[-1] if records.points else None
    use = f" · {last.device_use:.0%}" if last and last.device_use is not None else ""  # of its time
    return facts_html(
        {
            "Loss": f"{last.loss:.3f}" if last else "–",
            "Training": percent(last.accuracy if last else None),
            "Best validation": percent(max((e.accuracy for e in records.epochs), default=None)),
            "Test": percent(run.status.test_accuracy),
            "Images / s": f"{last.images_per_second:,.0f}" if last else "–",
            "Learning rate": f"{last.lr:.2g}" if last else "–",
            "Gradient norm": f"{last.grad_norm:.2g}" if last and last.grad_norm is not None else "–",
            "Device": f"{last.memory_mb:,.0f} MB{use}" if last else "–",
        }
    )
