"""The predictions for all images: a table to pick from, and a file to download."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
import torch
from PIL import Image
from torch import Tensor

from resnet_lab.attribution import preserve_state
from resnet_lab.data import ImageError
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.common.widgets import download
from resnet_lab.ui.prediction.images import ImageSet, TestImages, show_problems
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import png

MOST = 1000  # images at once
BATCH = 50
TOP, SHOWN = 5, 3  # classes in the file, and in the table
SIDE = 40  # pixels of an image in the table


@dataclass(frozen=True)
class Row:
    """The likeliest classes of an image, and their probabilities (0 to 1); `icon` is a small one of it, as a link."""

    index: int
    name: str
    truth: str
    icon: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def batch_view(net: Net, images: ImageSet) -> None:
    count = min(MOST, len(images))
    about = (net.key, images.key)
    job = jobs.current("prediction.batch", about)
    if job is None or job.is_broken:
        if job is not None:
            cancelled = f"Cancelled after {len(job.records):,} of {count:,} images."
            st.warning(escape_markdown(job.error) or cancelled)
        if len(images) > MOST:
            st.caption(
                f"The first {MOST:,} of {len(images):,}. The Training page shows a run's errors on all of them."
            )
        if not st.button(f"Predict {count:,} images", icon=":material/table_view:", type="primary"):
            return
        work = partial(_predictions, net.apart(), images, count)
        job = jobs.start("prediction.batch", work, count, about)
    if job.is_active:
        jobs.follow(job, lambda: None)
        return
    show_problems([record for record in job.records if isinstance(record, str)])
    rows = [record for record in job.records if isinstance(record, Row)]
    if rows:
        _table(net, images, rows)


def _predictions(net: Net, images: ImageSet, count: int, check: jobs.Check) -> Iterator[Row | str]:
    """A Row for each image, or a sentence for one that cannot be read."""
    for start in range(0, count, BATCH):
        read: dict[int, Tensor] = {}
        for index in range(start, min(start + BATCH, count)):
            check()
            try:
                read[index] = images.pixels(index, net)
            except ImageError as error:
                yield str(error)
        if not read:
            continue
        with preserve_state(net.model):
            top = net.predict(torch.stack([*read.values()])).topk(min(TOP, len(net.classes)))
        for (index, pixels), chances, best in zip(
            read.items(), *(part.tolist() for part in top), strict=True
        ):
            image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
            image.thumbnail((SIDE, SIDE))
            icon = f"data:image/png;base64,{base64.b64encode(png(np.asarray(image))).decode()}"
            classes = tuple(net.classes[i] for i in best)
            yield Row(index, images.name(index), images.truth(index) or "", icon, classes, tuple(chances))


def _table(net: Net, images: ImageSet, rows: list[Row]) -> None:
    known = bool(rows[0].truth)
    if known:
        right = sum(row.truth == row.classes[0] for row in rows)
        st.markdown(f"**{right:,} of {len(rows):,} correct** ({percent(right / len(rows))})")
    columns: dict[str, list[Any]] = {"image": [row.icon for row in rows], "name": [row.name for row in rows]}
    look: dict[str, Any] = {"image": st.column_config.ImageColumn("", width=48)}
    if known:
        columns["truth"] = [row.truth for row in rows]
    for i in range(min(SHOWN, len(rows[0].classes))):
        columns[f"{i + 1}."] = [row.classes[i] for row in rows]
        columns[f"{i + 1}. (%)"] = [100 * row.probabilities[i] for row in rows]
        look[f"{i + 1}. (%)"] = st.column_config.NumberColumn("%", format="%.1f", width=60)
    st.dataframe(
        columns,
        hide_index=True,
        height=440,
        row_height=44,
        column_config=look,
        key="prediction.rows",
        selection_mode="single-row",
        on_select=lambda: _open(images, rows),
    )
    download("All predictions, CSV", lambda: to_csv(net.title, rows), "predictions.csv", "text/csv")
    scope = "" if known else f" The net was trained on {escape_markdown(net.scope)}."
    st.caption(f"Choose a row to explain its prediction. The file has the {TOP} likeliest classes.{scope}")


def _open(images: ImageSet, rows: list[Row]) -> None:
    """Shows the image of the chosen row."""
    chosen = st.session_state["prediction.rows"]["selection"]["rows"]
    if chosen:
        key = "index" if isinstance(images, TestImages) else "prediction.shown"
        st.session_state[key] = rows[chosen[0]].index
        st.session_state["view"] = "Prediction"


def to_csv(model: str, rows: list[Row]) -> str:
    """A line for each class of each image: name, rank from 1, class, probability (0 to 1), model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "truth", "rank", "class", "probability", "model"])
    for row in rows:
        for rank, (name, chance) in enumerate(zip(row.classes, row.probabilities, strict=True), 1):
            cells = (row.name, row.truth, rank, name, f"{chance:.6f}", model)
            writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _harmless(name: str) -> str:
    """Spreadsheets run cells that begin like a formula."""
    return f"'{name}" if name[:1] in tuple("=+-@\t\r\n") else name
