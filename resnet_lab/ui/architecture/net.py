"""The inputs of the architecture page: which net, which images, and every field of a spec."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.inspection.table.layer_table import MAX_SIDE
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size, get_spec
from resnet_lab.models.links import spec_from_link, spec_to_link
from resnet_lab.models.spec import BLOCKS
from resnet_lab.schema import SchemaError
from resnet_lab.ui.common import fields, navigation
from resnet_lab.ui.common.download import download
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.shared import choose_spec, chosen_spec

BLOCK_NAMES = {(3, 3): "3×3, 3×3: Basic", (1, 3, 1): "1×1, 3×3, 1×1: Bottleneck"}
SHORTCUTS = {"pad": "A: padding", "projection": "B: projection", "projection_all": "C: all projected",
             "none": "none (plain)"}  # fmt: skip
STEMS = {
    "imagenet": "7×7 /2, pool",
    "cifar": "3×3",
    "deep": "three 3×3, pool",
    "tutorial": "7×7 /2, pool, bare",
}
NORMS = {"batch": "batch", "group": "group", "none": "none"}
SWITCHES = {
    "preactivation": "Pre-activation",
    "zero_init_residual": "Zero-init residual",
    "conv_bias": "Convolution bias",
}
BUILD = "architecture.build."  # how the keys of the form's widgets begin
PROBLEM, POSSIBLE = "architecture.problem", "architecture.possible"
HELP = {  # of texts that stand for fields with lists in them
    "blocks": "One count for each of 1 to 6 stages.",
    "dilated": "In these stages dilation takes the place of the stride: 3, 4.",
    "projections": "Blocks that carry a projection although the shape stays: stage.block, such as 2.4, 3.4.",
}


def pick_net() -> tuple[ModelSpec, int]:
    """Draws the inputs; returns the net that they ask for, or the last possible one, and the side in pixels."""
    _read_link()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = list(VARIANTS)
        start = names.index("resnet50")
        variant = st.selectbox(
            "Net", names, start, key="variant", bind="query-params", width=200, on_change=_usual_settings
        )
        base = VARIANTS[variant]
        side = default_input_size(base)
        size = st.number_input(
            "Image side (px)", 1, MAX_SIDE, side, key="size", bind="query-params", width=130
        )
        classes = fields.number(
            st, ModelSpec, "num_classes", base.num_classes, "classes", bind="query-params", width=130
        )
        spec = base.replace(num_classes=classes)
        build = st.toggle("Build your own", key="build", bind="query-params", on_change=_fill, args=(spec,))
        place = st.container(horizontal=True, horizontal_alignment="right")
    if build:
        spec = _build(spec)
    else:
        _forget()
    with place:
        _train_link(spec, build)
    return spec, size


def _train_link(spec: ModelSpec, own: bool) -> None:
    query = {"spec": spec_to_link(spec)} if own else {"model": spec.name}
    page = navigation.page_path("training")
    st.page_link(page, label="Train this net", icon=":material/show_chart:", query_params=query)


def _usual_settings() -> None:
    """A new variant comes with the images and classes that it is known for, and at its beginning."""
    spec = get_spec(st.session_state["variant"])
    st.session_state["size"] = default_input_size(spec)
    st.session_state["classes"] = spec.num_classes
    for name in ("at", "open", "unfold"):
        st.query_params.pop(name, None)
    st.session_state.pop("beside", None)
    _fill(spec)


def _fill(spec: ModelSpec) -> None:
    """Puts the fields of `spec` into the form."""
    extra = [f"{s + 1}.{b + 1}" for s, stage in enumerate(spec.extra_projections) for b in stage]
    dilated = [i + 2 for i, on in enumerate(spec.dilation) if on]
    name = f"my_{spec.name}" if spec.name in VARIANTS else spec.name
    values = {
        "name": name, "block": spec.block, "blocks": ", ".join(map(str, spec.blocks)), "width": spec.width,
        "groups": spec.groups, "width_per_group": spec.width_per_group, "shortcut": spec.shortcut,
        "stem": spec.stem, "norm": spec.norm, "dilated": ", ".join(map(str, dilated)),
        "projections": ", ".join(extra), "switches": [k for k in SWITCHES if getattr(spec, k)],
    }  # fmt: skip
    for key, value in values.items():
        st.session_state[BUILD + key] = value


def _read_link() -> None:
    """A link's own net, once; or the one that was being built when the page was left by the menu."""
    if f"{BUILD}name" in st.session_state:
        return
    query, built = st.query_params, chosen_spec()
    link = query.get("spec") or (spec_to_link(built) if built and "variant" not in query else "")
    if not link:
        return
    try:
        spec = spec_from_link(link)
    except ValueError as error:
        st.error(
            f"This link cannot be read: {escape_markdown(str(error))}. The page shows a variant instead."
        )
        query.pop("spec", None)
        return
    st.session_state["variant"] = link.split(".")[0]
    st.session_state["classes"] = spec.num_classes
    asked = query.get("size", "")
    usual = default_input_size(spec)
    fits = asked.isdecimal() and len(asked) < 6 and 1 <= int(asked) <= MAX_SIDE
    st.session_state.setdefault("size", int(asked) if fits else usual)
    st.session_state["build"] = True
    _fill(spec)


def _forget() -> None:
    """The page shows a variant: no spec in its link."""
    st.query_params.pop("spec", None)
    choose_spec(None)


def _build(base: ModelSpec) -> ModelSpec:
    """The form over a spec; while it asks for something impossible, the last possible net."""
    if f"{BUILD}name" not in st.session_state:
        _fill(base)
    with st.container(border=True):
        asked = _fields(base)
        problem = ""
        try:
            spec = _spec_of(asked, base.num_classes)
            st.session_state[POSSIBLE] = spec
        except ValueError as error:
            problem, spec = str(error), st.session_state.get(POSSIBLE, base)
        _files(spec)
    if problem:
        st.error(f"{escape_markdown(problem)}. Below is the last net that was possible.")
    choose_spec(spec)
    link = spec_to_link(spec)
    if st.query_params.get("spec") != link:
        st.query_params["spec"] = link
    return spec


def _fields(base: ModelSpec) -> dict[str, Any]:
    """The widgets, two rows of six; `_fill` has set them."""
    top, low = (st.columns([1, 1.6, 1.1, 1.4, 1, 1], vertical_alignment="bottom") for _ in range(2))

    def choose(cell: Any, name: str, labels: dict[Any, str]) -> Any:
        return fields.choice(cell, ModelSpec, name, getattr(base, name), BUILD + name, labels)

    def number(cell: Any, name: str) -> Any:
        return fields.number(cell, ModelSpec, name, getattr(base, name), BUILD + name)

    def text(cell: Any, label: str, key: str) -> str:
        return cell.text_input(label, key=BUILD + key, help=HELP.get(key), max_chars=200)

    switches = low[1].multiselect(
        "Switches",
        list(SWITCHES),
        key=f"{BUILD}switches",
        format_func=SWITCHES.__getitem__,
        placeholder="none",
    )
    return {
        "name": text(top[0], "Name", "name"),
        "block": choose(top[1], "block", {k: BLOCK_NAMES.get(k, _kernels(k)) for k in BLOCKS}),
        "blocks": text(top[2], "Blocks per stage", "blocks"),
        "shortcut": choose(top[3], "shortcut", SHORTCUTS),
        "width": number(top[4], "width"),
        "norm": choose(top[5], "norm", NORMS),
        "groups": number(low[0], "groups"),
        "switches": switches,
        "width_per_group": number(low[2], "width_per_group"),
        "stem": choose(low[3], "stem", STEMS),
        "dilated": text(low[4], "Dilated stages", "dilated"),
        "projections": text(low[5], "Projections", "projections"),
    }


def _kernels(block: tuple[int, ...]) -> str:
    return ", ".join(f"{k}×{k}" for k in block)


def _spec_of(asked: dict[str, Any], classes: int) -> ModelSpec:
    """The spec that the form asks for.

    Raises:
        ValueError: for something impossible; it names the field.
    """
    blocks = tuple(_whole("blocks", part) for part in _parts(asked["blocks"]))
    values: dict[str, Any] = {name: name in asked["switches"] for name in SWITCHES}
    for name in ("block", "shortcut", "stem", "norm", "width", "groups", "width_per_group"):
        values[name] = asked[name]
    return ModelSpec(
        name=_own_name(asked["name"].strip()),
        blocks=blocks,
        num_classes=classes,
        dilation=_dilation(asked["dilated"], len(blocks)),
        extra_projections=_projections(asked["projections"], blocks),
        **values,
    )


def _own_name(name: str) -> str:
    """A net of one's own must not be taken for a variant."""
    return f"my_{name}" if name in VARIANTS else name or "my_net"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.replace("-", ",").split(",") if part.strip()]


def _whole(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{field} has {text!r}, which is no whole number") from None


def _dilation(text: str, stages: int) -> tuple[bool, ...]:
    chosen = {_whole("dilated stages", part) for part in _parts(text)}
    if wrong := sorted(chosen - set(range(2, stages + 1))):
        raise ValueError(
            f"dilated stages has {wrong[0]}; it may be stages from 2 to {stages}, as the first has no stride"
        )
    return tuple(stage in chosen for stage in range(2, stages + 1)) if chosen else ()


def _projections(text: str, blocks: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    stages: list[list[int]] = [[] for _ in blocks]
    for part in _parts(text):
        stage, _, block = part.partition(".")
        s, b = _whole("projections", stage), _whole("projections", block)
        if not (1 <= s <= len(blocks) and 1 <= b <= blocks[s - 1]):
            raise ValueError(f"projections has {part}; there is no such block")
        stages[s - 1].append(b - 1)
    return tuple(tuple(sorted(set(stage))) for stage in stages) if any(stages) else ()


def _files(spec: ModelSpec) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        download("Spec as JSON", spec.to_json, f"{spec.name}.json", "application/json")
        with st.popover("From a file", icon=":material/upload:"):
            st.file_uploader(
                "A spec as JSON", "json", key=f"{BUILD}file", on_change=_read_file, max_upload_size=1
            )
        st.caption("The address of this page is a link to this net.")
    if problem := st.session_state.pop(PROBLEM, ""):
        st.error(escape_markdown(problem))


def _read_file() -> None:
    """An uploaded spec replaces the fields of the form, if it is one."""
    file = st.session_state[f"{BUILD}file"]
    if file is None:
        return
    try:
        spec = ModelSpec.from_json(file.getvalue())
    except SchemaError as error:
        st.session_state[PROBLEM] = f"{file.name} is no spec of this lab: {error}."
        return
    st.session_state["classes"] = spec.num_classes
    _fill(spec)
