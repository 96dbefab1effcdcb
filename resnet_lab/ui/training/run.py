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
from resnet_lab.ui.common.markdown import duration, escape_markdown, facts, percent
from resnet_lab.ui.common.runs import action, curve, curve_charts, follow, heading
from resnet_lab.ui.common.shared import choose_run
from resnet_lab.ui.common.widgets import download, options_of
from resnet_lab.ui.training.errors import errors_view
from resnet_lab.ui.training.recipe import fill_form

PAIRS: dict[str, tuple[tuple[Measure, Measure], str]] = {  # two measures, and what is seen in them
    "Loss, accuracy": (
        ("loss", "accuracy"),
        "Thin: training batches, augmented. Thick: the validation images, once an epoch. Drag to zoom.",
    ),
    "Learning rate, gradient norm": (
        ("lr", "grad_norm"),
        "The learning rate of each step, and the norm of all gradients together before clipping. Drag to zoom.",
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

    def show() -> None:
        status, records = run.status, curve(run)
        with st.container(horizontal=True, vertical_alignment="center"):
            heading(run, status)
            st.space("stretch")
            _buttons(run, status)
        if status.is_active:
            _progress(status, records)
        if status.state in ("failed", "interrupted"):
            st.error(escape_markdown(status.message), icon=":material/error:")
        _numbers(status, records)
        curve_charts([run], measures, f"training.{run.id}", axis or "epoch", smoothing)
        st.caption(caption)
        _conditions(records)
        if isinstance(run, RecordedRun):
            _card(run)

    with body:
        follow([run], show)
    if not run.status.is_active and run.best_checkpoint:
        errors_view(run)


def _card(run: RecordedRun) -> None:
    when = datetime.fromtimestamp(run.status.created)
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    st.caption(f"Came with the lab; recorded on {when.day} {when:%B %Y} with {escape_markdown(versions)}.")
    if run.card.note:
        st.caption(escape_markdown(run.card.note))
    st.caption(f"Made anew by `{run.card.command}`")


def _buttons(run: Run, status: RunStatus) -> None:
    manager = navigation.manager()
    if status.is_active:
        asked = run.stop_file.exists()
        action("Pause", partial(manager.stop, run.id, pause=True), "pause", disabled=asked)
        action("Stop", partial(manager.stop, run.id), "stop", disabled=asked)
        return
    if status.state != "completed":
        action("Resume", partial(manager.resume, run.id), "play_arrow")
        help_text = "Takes one step and pauses again."
        action("One step", partial(manager.resume, run.id, steps=1), "skip_next", help=help_text)
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
        action("Extend", partial(manager.extend, run.id, int(epochs)), "add", width="stretch")

    def again() -> None:
        choose_run(manager.submit(run.config))

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


def _progress(status: RunStatus, records: Curve) -> None:
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
    use = f" · {last.device_use:.0%}" if last and last.device_use is not None else ""  # of its time
    facts(
        {
            "Loss": f"{last.loss:.3f}" if last else "–",
            "Training": percent(last.accuracy if last else None),
            "Best validation": percent(max((e.accuracy for e in records.epochs), default=None)),
            "Test": percent(status.test_accuracy),
            "Images / s": f"{last.images_per_second:,.0f}" if last else "–",
            "Learning rate": f"{last.lr:.2g}" if last else "–",
            "Gradient norm": f"{last.grad_norm:.2g}" if last and last.grad_norm is not None else "–",
            "Device": f"{last.memory_mb:,.0f} MB{use}" if last else "–",
        }
    )


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
