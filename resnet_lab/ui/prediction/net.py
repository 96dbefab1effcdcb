"""Which net the prediction page asks: a run's, torchvision's, or one from a file."""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st
import torch
from PIL import Image

from resnet_lab.attribution import preserve_state
from resnet_lab.data import DATASETS
from resnet_lab.data.preprocess import middle_square
from resnet_lab.figures.overlay import Box
from resnet_lab.inspection.export.source_feed import read_source
from resnet_lab.models import VARIANTS, ModelSpec, WeightsError
from resnet_lab.models.classifier import Classifier, imagenet_classifier
from resnet_lab.models.variants import IMAGENET_WEIGHTS
from resnet_lab.runs import Run, RunError, load_run_model
from resnet_lab.runs.outside import load_outside
from resnet_lab.schema import record
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import BY_VERSION, run_version
from resnet_lab.ui.common.shared import choose_run, shared
from resnet_lab.ui.common.widgets import forget_unless, problems_said

FILE = "file"  # a net that the reader uploads
MOST_MEGABYTES = 600  # of its weights; wide_resnet101_2 has 507


@record
class Net(Classifier):
    """A classifier as the page knows it: `key` changes with the weights, and stands for the net in caches."""

    key: str = ""
    title: str = ""

    @classmethod
    def of(cls, classifier: Classifier, key: str, title: str) -> Net:
        """With an output for each class, so that each can be explained."""
        return cls(**vars(classifier.per_class()), key=key, title=title)

    def box(self, image: Image.Image) -> Box:
        """The part of an image that `prepare` shows the net."""
        return middle_square(*image.size, self.side / self.image_size)

    def apart(self) -> Net:
        """With a copy of the model, for work that would keep others waiting for it."""
        with preserve_state(self.model):
            return self.replace(model=copy.deepcopy(self.model))


def choose_net() -> Net | None:
    """Asks which net; None while there is none, or when it cannot be read (which is said)."""
    runs = {run.id: run for run in navigation.runs() if run.best_checkpoint}
    options = [*runs, *IMAGENET_WEIGHTS, FILE]
    linked = st.query_params.get("run")
    if linked and linked not in options:
        st.warning(
            escape_markdown(f"There is no run {linked!r} with a checkpoint; it may have been deleted.")
        )
    wanted = [options.index(each) for each in (linked, shared().run) if each in options]
    start = wanted[0] if wanted else _first(list(runs.values()))
    titles = _titles(options, runs)
    chosen = st.selectbox("Net", options, start, titles.__getitem__, key="net", placeholder="Choose a net")
    if chosen is None:
        return None
    with problems_said(RunError, WeightsError, OSError):
        if chosen in runs:
            choose_run(chosen)
            return run_net(runs[chosen])
        st.query_params["run"] = chosen
        return _uploaded() if chosen == FILE else _choose_imagenet(chosen)
    return None


def _first(runs: Sequence[Run]) -> int | None:
    """The newest of the reader's own; else what came with the lab for photographs, as its samples are."""
    if runs and runs[0].is_recorded:
        return next((i for i, run in enumerate(runs) if is_of_photographs(run.config.dataset)), 0)
    return 0 if runs else None


def is_of_photographs(dataset: str) -> bool:
    return not dataset.startswith("shapes")


def other_net(net: Net) -> Net | None:
    """Asks for a second net of a run; the first offered is the residual or plain partner of `net`, if there is one."""
    runs = {run.id: run for run in navigation.runs() if run.best_checkpoint and run.id not in net.key}
    if not runs:
        st.info("There is no second trained net yet; train one, or race two on the Comparison page.")
        return None
    own = net.model.spec

    def strange(run_id: str) -> tuple[bool, bool, bool]:
        """Little, where it shares much with `net`: classes of the same data, depth, and is of the other kind."""
        config = runs[run_id].config
        spec = config.spec
        return config.dataset != net.dataset, spec.blocks != own.blocks, spec.is_plain == own.is_plain

    options = sorted(runs, key=strange)
    chosen = st.selectbox(
        "Compare with", options, format_func=_titles(options, runs).__getitem__, key="prediction.other"
    )
    with problems_said(RunError, OSError):
        return run_net(runs[chosen])
    return None


def _titles(options: list[str], runs: Mapping[str, Run]) -> dict[str, str]:
    """What the box shows, all different: it knows its options by these words alone."""
    titles = {option: f"{option}, ImageNet" for option in options} | {FILE: "A weights file …"}
    for run_id, run in runs.items():
        titles[run_id] = run.name
        if run.is_recorded:
            continue
        created = datetime.fromtimestamp(run.status.created)
        is_today = created.date() == datetime.now().date()
        # The box is narrow.
        titles[run_id] = f"{run.name} · {created.strftime('%H:%M' if is_today else '%d %b')}"
    times = Counter(titles.values())
    return {key: f"{title} ({key[-4:]})" if times[title] > 1 else title for key, title in titles.items()}


@st.cache_resource(max_entries=4, show_spinner="Reading the net …", hash_funcs=BY_VERSION)
def run_net(run: Run) -> Net:
    """The best net of a run.

    Raises:
        RunError: as `load_run_model`.
    """
    run_id, changed = run_version(run)
    return Net.of(load_run_model(run), f"{run_id} {changed}", run.name)


def _choose_imagenet(variant: str) -> Net | None:
    """The net with torchvision's weights; a button asks before they are downloaded, for they are large."""
    from torchvision import models

    enum = models.get_model_weights(variant)
    tag = enum.DEFAULT.name
    if len(enum) > 1:
        tags = [weights.name for weights in enum]
        forget_unless("weights", tags)  # the net before this one may have had others
        tag = st.selectbox("Weights", tags, tags.index(tag), key="weights", bind="query-params")
    weights = enum[tag]
    here = (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()
    label = f"Download the weights ({weights.meta['_file_size']:,.0f} MB)"
    if not here and not st.button(label, icon=":material/download:", type="primary"):
        st.caption("They are not on this machine yet; afterwards they work without a network.")
        return None
    net = _imagenet(variant, tag)
    if not here:
        st.rerun()  # without the button
    return net


@st.cache_resource(max_entries=4, show_spinner="Getting torchvision's weights …")
def _imagenet(variant: str, tag: str) -> Net:
    found = imagenet_classifier(variant, tag)
    return Net.of(found, f"{variant} {found.weights}", f"{variant}, {found.weights}")


def _uploaded() -> Net | None:
    """A net from files of the reader: kept in this session alone."""
    files = st.file_uploader(
        "Weights, and if you like their spec (.json) or exported source (.py)",
        ["pt", "pth", "th", "safetensors", "onnx", "json", "py"],
        accept_multiple_files=True,
        max_upload_size=MOST_MEGABYTES,
        key="weights_files",
    )
    specs = [file for file in files if file.name.lower().endswith((".json", ".py"))]
    weights = [file for file in files if file not in specs]
    if not weights:
        st.caption(
            "A checkpoint or an export of this lab says itself which net it is. No code in a file is run."
        )
        return None
    spec, beside = _said_beside(specs)
    made_for = st.selectbox("Trained on", ["something else", *DATASETS], key="prediction.made_for")
    file = weights[-1]  # the last one that was dropped there
    wanted = (file.file_id, spec, made_for, *(each.file_id for each in specs))
    kept: tuple[Any, Net] | None = st.session_state.get("prediction.uploaded_net")
    if kept is None or kept[0] != wanted:
        with st.spinner("Reading the weights …"), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"weights{Path(file.name).suffix.lower()}"
            path.write_bytes(file.getvalue())
            try:
                trained = load_outside(path, spec, DATASETS.get(made_for), beside)
            except WeightsError as error:
                raise WeightsError(str(error).replace(path.name, file.name)) from None
        kept = wanted, Net.of(trained, f"file {hash(wanted)}", f"{file.name} ({trained.model.spec.name})")
        st.session_state["prediction.uploaded_net"] = kept
    return kept[1]


def _said_beside(files: list[Any]) -> tuple[ModelSpec | None, dict[str, Any]]:
    """Which net it is, from a spec file or a box; and what an exported source says of it."""
    if files:
        text = files[-1].getvalue().decode(errors="replace")
        try:
            if files[-1].name.lower().endswith(".py"):
                return None, read_source(text)
            return ModelSpec.from_json(text), {}
        except ValueError as error:
            raise WeightsError(f"{files[-1].name} is no spec of a net: {error}.") from None
    name = st.selectbox("Which net", list(VARIANTS), None, key="which_net", placeholder="As the file says")
    return (VARIANTS[name] if name else None), {}
