"""One run on the page: its state, numbers, curves and buttons, refreshed while it goes on."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import streamlit as st

from resnet_lab.figures.curves import Axis, Curve, Measure, as_csv
from resnet_lab.runs import Run, RunStatus
from resnet_lab.runs.gallery import RecordedRun
from resnet_lab.runs.mirrors.tensorboard import event_file_zip
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_curves import curve_charts
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import action, curve, heading, rerun_when_changed
from resnet_lab.ui.common.shared import choose_run
from resnet_lab.ui.common.widgets import download, options_of
from resnet_lab.ui.training.errors import errors_view
from resnet_lab.ui.training.recipe import fill_form

PAIRS: dict[str, tuple[tuple[Measure, Measure], str]] = {  # two measures, and what is seen in them
    "Loss, accuracy": (
        ("loss", "accuracy"),
        "Thin: training batches, augmented. Thick: the validation images, once an epoch. Drag or pinch to zoom.",
    ),
    "Learning rate, gradient norm": (
        ("lr", "grad_norm"),
        "The learning rate of each step, and the norm of all gradients before clipping. Drag or pinch to zoom.",
    ),
}
USUAL = "Loss, accuracy"
AXES: dict[Axis, str] = {"epoch": "Epoch", "step": "Step", "seconds": "Time"}


def run_view(run: Run) -> None:
    """Shows `run`, and keeps showing it while it goes on."""
    body = st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pair = st.segmented_control(
            "Show", list(PAIRS), default=USUAL, key="training.pair", persist_state="session"
        )
        axis = st.segmented_control(
            "x-axis", **options_of(AXES), default="epoch", key="training.axis", persist_state="session"
        )
        smoothing = st.slider(
            "Smoothing", 0.0, 0.98, 0.6, key="training.smoothing", width=220, persist_state="session"
        )
    measures, caption = PAIRS[pair or USUAL]

    status, records = run.status, curve(run)
    with body:
        with st.container(horizontal=True, vertical_alignment="center"):
            heading(run, status)
            st.space("stretch")
            _buttons(run, status)
        if status.state in ("failed", "interrupted"):
            st.error(escape_markdown(status.message), icon=":material/error:")
        elif status.state == "stopped" and status.message:
            st.info(escape_markdown(status.message), icon=":material/timer_off:")
        curve_charts([run], measures, f"training.{run.id}", axis or "epoch", smoothing, with_numbers=True)
        st.caption(caption)
        _conditions(records)
        if isinstance(run, RecordedRun):
            _card(run)
        rerun_when_changed([run])
    if not status.is_active and run.best_checkpoint:
        errors_view(run)


def _card(run: RecordedRun) -> None:
    when = datetime.fromtimestamp(run.status.created)
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    st.caption(f"Came with the lab; recorded on {when.day} {when:%B %Y} with {escape_markdown(versions)}.")
    if run.card.note:
        st.caption(escape_markdown(run.card.note))
    st.caption(f"Made anew by `{run.card.command}`")


def _buttons(run: Run, status: RunStatus) -> None:
    desk = navigation.desk()
    is_own = desk.may_change(run)
    if status.is_active:
        off = not is_own or run.stop_file.exists()
        action("Pause", partial(desk.stop, run.id, pause=True), "pause", disabled=off)
        action("Stop", partial(desk.stop, run.id), "stop", disabled=off)
        return
    if status.state != "completed":
        action("Resume", partial(desk.resume, run.id), "play_arrow", disabled=not is_own)
        help_text = "Takes one step and pauses again."
        action(
            "One step",
            partial(desk.resume, run.id, steps=1),
            "skip_next",
            help=help_text,
            disabled=not is_own,
        )
    with st.popover("More", icon=":material/more_horiz:"):
        _more(run)
    if run.best_checkpoint and st.button("Try it on an image", icon=":material/image_search:"):
        st.switch_page(navigation.page_path("prediction"), query_params={"run": run.id})


def _more(run: Run) -> None:
    """What can be made of a run that is not going on."""
    desk = navigation.desk()
    if run.best_checkpoint and desk.may_change(run) and not run.is_recorded:
        epochs = st.number_input(
            "More epochs", 1, None, 5, help="The schedule becomes that of the longer run."
        )
        action("Extend", partial(desk.extend, run.id, int(epochs)), "add", width="stretch")

    def again() -> None:
        choose_run(desk.submit(run.config))

    help_text = "A new run from the same initial weights and batches; this one stays."
    action("Start again", again, "restart_alt", width="stretch", help=help_text)
    download("Curves, CSV", lambda: as_csv(curve(run)), f"{run.id}.csv", "text/csv", width="stretch")
    name = f"{run.id}-tensorboard.zip"
    help_text = "Unpack it and point tensorboard --logdir at the folder."
    download(
        "TensorBoard files",
        partial(event_file_zip, run),
        name,
        "application/zip",
        width="stretch",
        help=help_text,
    )
    help_text = "Sets the form, to change it and train."
    action("Use its recipe", partial(fill_form, run.config), "edit_note", width="stretch", help=help_text)


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
