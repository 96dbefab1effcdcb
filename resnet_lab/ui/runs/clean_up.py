"""How much room runs take, and what of it can be given back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.runs.disk import bytes_free, bytes_of, superfluous
from resnet_lab.runs.trash import Batch, Trash
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import action
from resnet_lab.ui.runs import actions


def disk_line(own: Sequence[Run]) -> None:
    """What the reader's own runs take, and the way to get some of it back."""
    store = navigation.store()
    used = sum(bytes_of(run.path) for run in own)
    free = bytes_free(store.root)
    runs = f"{len(own):,} {'run' if len(own) == 1 else 'runs'}"
    left = "" if free is None else f" · {in_bytes(free)} free"
    st.caption(f"{in_bytes(used)} in {runs} in {escape_markdown(str(store.root))}{left}", width="content")
    if st.button("Clean up", icon=":material/mop:"):
        clean_up(own)


@st.dialog("Clean up", on_dismiss="rerun")
def clean_up(own: Sequence[Run]) -> None:
    """Says what would go, asks, and says what went."""
    old = {run: sum(path.stat().st_size for path in superfluous(run)) for run in own}
    old = {run: size for run, size in old.items() if size}
    trash, desk = Trash(navigation.store()), navigation.desk()
    batches = [batch for batch in trash.batches() if all(map(desk.may_change, batch.runs))]
    if not old and not batches:
        st.info("There is nothing to clean up.", icon=":material/check:")
        return
    of_runs = with_trash = False
    if old:
        of_runs = st.checkbox(
            f"Last checkpoints of {len(old):,} completed {'run' if len(old) == 1 else 'runs'}: "
            f"{in_bytes(sum(old.values()))}",
            True,
        )
        st.caption(
            "Best weights and curves are kept: these runs can be shown, asked, compared and exported as before, but "
            "no longer extended by more epochs."
        )
        with st.expander("Which runs"):
            st.dataframe(
                [{"run": run.name, "size": in_bytes(size)} for run, size in old.items()], hide_index=True
            )
    if batches:
        with_trash = desk.person.is_teacher and st.checkbox(f"Deleted runs: {in_bytes(trash.bytes)}", True)
        st.caption("They would go by themselves a day after they were deleted.")
        for batch in batches:
            _restorable(batch)
    button = st.button(
        "Delete permanently", type="primary", icon=":material/delete:", disabled=not (of_runs or with_trash)
    )
    if button:
        with st.spinner("Cleaning up …"):
            freed, problems = actions.clean_up(list(old) if of_runs else [], with_trash)
        st.success(f"{in_bytes(freed)} freed.")
        for problem in problems:
            st.warning(escape_markdown(problem))


def _restorable(batch: Batch) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(
            f"{datetime.fromtimestamp(batch.deleted):%H:%M}  {', '.join(batch.names)[:120]}", width="stretch"
        )
        action("Restore", partial(actions.restore, batch), "undo", key=f"runs.restore.{batch.path.name}")


def in_bytes(size: int) -> str:
    """Decimal, as disks are sold: 1.2 GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} B"
