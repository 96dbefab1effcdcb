"""One run on the page: its state, numbers, curves and buttons, refreshed while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from resnet_lab.figures.curves import Axis, Curve, Measure, curve_figure
from resnet_lab.runs import Run, RunStatus
from resnet_lab.training.events import StepEvent
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import duration, escape_markdown, facts, percent
from resnet_lab.ui.common.runs import attempt, badge, curve, is_dark
from resnet_lab.ui.common.shared import choose_run
from resnet_lab.ui.training.errors import errors_view
from resnet_lab.ui.training.recipe import fill_form

REFRESH = 1.0  # seconds
PAIRS: dict[str, tuple[Measure, Measure]] = {
    "Loss, accuracy": ("loss", "accuracy"),
    "Learning rate, gradient norm": ("lr", "grad_norm"),
}
AXES: dict[Axis, str] = {"epoch": "Epoch", "step": "Step", "seconds": "Time"}


def run_view(run: Run) -> None:
    """Shows `run`, and keeps showing it while it goes on."""
    active = run.status.is_active
    body = st.container()
    look = curve_controls()
    with body:
        st.fragment(_live, run_every=REFRESH if active else None)(run, look, active)
    if not active and run.best_checkpoint:
        errors_view(run)


@dataclass(frozen=True)
class Look:
    """Which two measures are drawn, over what, and how smooth."""

    pair: tuple[Measure, Measure]
    axis: Axis
    smoothing: float


def curve_controls() -> Look:
    """Asks how curves are to be drawn, and which of the pairs."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pair = st.segmented_control(
            "Show", list(PAIRS), default=next(iter(PAIRS)), key="training.pair", persist_state="session"
        )
        axis = st.segmented_control(
            "x-axis",
            list(AXES),
            default="epoch",
            format_func=AXES.__getitem__,
            key="training.axis",
            persist_state="session",
        )
        smoothing = st.slider(
            "Smoothing", 0.0, 0.98, 0.6, key="training.smoothing", width=220, persist_state="session"
        )
    return Look(PAIRS[pair or next(iter(PAIRS))], axis or "epoch", smoothing)


def curve_charts(curves: list[Curve], look: Look, key: str) -> None:
    """The two charts, side by side."""
    for measure, column in zip(look.pair, st.columns(2), strict=True):
        with column:
            figure = curve_figure(curves, measure, look.axis, look.smoothing, is_dark())
            live_chart(figure, key=f"{key}.{measure}")


def _live(run: Run, look: Look, was_active: bool) -> None:
    status, records = run.status, curve(run)
    if status.is_active != was_active:
        st.rerun()  # begin or end the refreshing, and show the buttons that fit
    _heading(run, status)
    _progress(status, records)
    if status.state in ("failed", "interrupted"):
        st.error(escape_markdown(status.message), icon=":material/error:")
    _numbers(status, records)
    curve_charts([records], look, f"training.{run.id}")
    st.caption(
        "Thin: training batches, augmented. Thick: the validation images, once an epoch. Drag to zoom."
        if look.pair == PAIRS["Loss, accuracy"]
        else "The learning rate of each step, and the norm of all gradients together before clipping. Drag to zoom."
    )
    _conditions(records)


def _heading(run: Run, status: RunStatus) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape_markdown(run.name)}**", width="content")
        badge(status)
        st.space("stretch")
        _buttons(run, status)


def _buttons(run: Run, status: RunStatus) -> None:
    manager = navigation.manager()
    if status.is_active:
        asked = run.stop_file.exists()
        if st.button("Pause", icon=":material/pause:", disabled=asked):
            attempt(partial(manager.stop, run.id, pause=True))
        if st.button("Stop", icon=":material/stop:", disabled=asked):
            attempt(partial(manager.stop, run.id))
        return
    if status.state != "completed":
        if st.button("Resume", icon=":material/play_arrow:"):
            attempt(partial(manager.resume, run.id))
        if st.button("One step", icon=":material/skip_next:", help="Takes one step and pauses again."):
            attempt(partial(manager.resume, run.id, steps=1))
    with st.popover("More", icon=":material/more_horiz:"):
        _more(run)
    if run.best_checkpoint and st.button("Try it on an image", icon=":material/image_search:"):
        st.switch_page(navigation.page_path("prediction"), query_params={"run": run.id})


def _more(run: Run) -> None:
    """What can be made of a run that is not going on."""
    manager = navigation.manager()
    if run.last_checkpoint:
        epochs = st.number_input(
            "More epochs", 1, None, 5, help="The schedule becomes that of the longer run."
        )
        if st.button("Extend", icon=":material/add:", width="stretch"):
            attempt(partial(manager.extend, run.id, int(epochs)))
    if st.button(
        "Start again", icon=":material/restart_alt:", width="stretch",
        help="A new run from the same initial weights and batches; this one stays.",
    ):  # fmt: skip
        attempt(lambda: choose_run(manager.submit(run.config)))
    if st.button(
        "Use its recipe", icon=":material/edit_note:", width="stretch", help="Sets the form, to change it and train."
    ):  # fmt: skip
        fill_form(run.config)
        st.rerun()


def _progress(status: RunStatus, records: Curve) -> None:
    if not status.is_active:
        return
    if not status.total_steps:
        st.progress(0.0, escape_markdown(status.message or "Waiting for its turn"))
        return
    text = f"Step {status.step:,} of {status.total_steps:,}"
    if records.points and status.state == "running":
        text += f" · {duration(records.points[-1].seconds_left)} left"
    st.progress(min(status.step / status.total_steps, 1.0), text)


def _numbers(status: RunStatus, records: Curve) -> None:
    """The newest of everything, on one line."""
    last = records.points[-1] if records.points else None
    best = max((e.accuracy for e in records.epochs), default=None)
    facts(
        {
            "Loss": f"{last.loss:.3f}" if last else "–",
            "Training": percent(last.accuracy if last else None),
            "Best validation": percent(best),
            "Test": percent(status.test_accuracy),
            "Images / s": f"{last.images_per_second:,.0f}" if last else "–",
            "Learning rate": f"{last.lr:.2g}" if last else "–",
            "Gradient norm": f"{last.grad_norm:.2g}" if last and last.grad_norm is not None else "–",
            "Device": _device(last),
        }
    )


def _device(last: StepEvent | None) -> str:
    """Memory held, and the part of its time that it works."""
    if last is None:
        return "–"
    return f"{last.memory_mb:,.0f} MB" + (f" · {last.device_use:.0%}" if last.device_use is not None else "")


def _conditions(records: Curve) -> None:
    """On what, and with how much, these numbers came about."""
    if begun := records.started:
        st.caption(
            f"{begun.device} · {begun.precision} · {begun.params:,} parameters · "
            f"{begun.train_size:,} training and {begun.val_size:,} validation images"
        )
        for note in begun.notes:
            st.caption(escape_markdown(note))
    if records.test:
        best = max(records.epochs, key=lambda epoch: epoch.accuracy, default=None)
        is_best = best is not None and best.step == records.test.step
        st.caption(f"Tested: {'best weights' if is_best else 'weights'}, of step {records.test.step:,}")
    for mode in records.modes:
        st.caption(f":material/speed: Step {mode.step + 1:,}: {escape_markdown(mode.text)}")
    for notice in records.notices:
        st.caption(f":material/info: Step {notice.step + 1:,}: {escape_markdown(notice.text)}")
