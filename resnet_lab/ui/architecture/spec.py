"""The inputs of the Architecture page: which net, which input size, and every field of a spec."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from resnet_lab.inspection.table.layer_table import MAX_SIDE
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size
from resnet_lab.models.links import nearest_variant, spec_from_link, spec_to_link
from resnet_lab.models.spec import BLOCKS, Norm
from resnet_lab.schema import SchemaError, fields_of
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
NORMS = {norm: norm for norm in get_args(Norm)}
FIELDS = fields_of(ModelSpec)
SWITCHES = {name: FIELDS[name].title for name in ("preactivation", "zero_init_residual", "conv_bias")}
BUILD = "architecture.build."  # how the keys of the form's widgets begin
WIDGETS = ("block", "shortcut", "stem", "norm", "width", "groups", "width_per_group")  # as the spec has them
PROBLEM = "architecture.problem"  # of what the form asks for
FILE_PROBLEM = "architecture.file_problem"
HELP = {  # of texts that stand for fields with lists in them
    "blocks": FIELDS["blocks"].help,
    "dilated": "In these stages dilation takes the place of the stride: 3, 4.",
    "projections": "Blocks that carry a projection although the shape stays: stage.block, such as 2.4, 3.4.",
}


def pick_spec() -> tuple[ModelSpec, int]:
    """Draws the inputs; returns the spec that they ask for, or the last possible one, and the side in pixels."""
    _read_link()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = list(VARIANTS)
        start = names.index("resnet50")
        variant = st.selectbox(
            "Net", names, start, key="variant", bind="query-params", width=200, on_change=_usual_settings
        )
        spec = VARIANTS[variant]
        side = default_input_size(spec)
        size = st.number_input(
            "Input size (px)", 1, MAX_SIDE, side, key="size", bind="query-params", width=130
        )
        classes = fields.number(
            st, ModelSpec, "num_classes", spec.num_classes, "classes", bind="query-params", width=130
        )
        spec = spec.replace(num_classes=classes)
        build = st.toggle(
            "Build your own", key="build", bind="query-params", on_change=_toggled, args=(spec,)
        )
        place = st.container(horizontal=True, horizontal_alignment="right")
    query = {"model": spec.name}
    if build:
        spec = _build(spec)
        query = {"spec": spec_to_link(spec)}
        if st.query_params.get("spec") != query["spec"]:
            st.query_params["spec"] = query["spec"]
    else:
        st.query_params.pop("spec", None)
    choose_spec(spec if build else None)
    page = navigation.page_path("training")
    place.page_link(page, label="Train this net", icon=":material/show_chart:", query_params=query)
    return spec, size


def _usual_settings() -> None:
    """A new variant comes with the images and classes that it is known for, and at its beginning."""
    spec = VARIANTS[st.session_state["variant"]]
    st.session_state["size"] = default_input_size(spec)
    st.session_state["classes"] = spec.num_classes
    for name in ("at", "open", "unfold"):
        st.query_params.pop(name, None)
    st.session_state.pop("beside", None)
    _toggled(spec)


def _toggled(spec: ModelSpec) -> None:
    if st.session_state["build"]:
        _fill(spec)


def _read_link() -> None:
    """A link's own net, once; or the one that was being built when the page was left by the menu."""
    if f"{BUILD}name" in st.session_state:
        return
    query = st.query_params
    spec = None if "variant" in query else chosen_spec()
    try:
        spec = spec_from_link(query["spec"]) if query.get("spec") else spec
    except ValueError as error:
        st.error(
            f"This link cannot be read: {escape_markdown(str(error))}. The page shows a variant instead."
        )
        query.pop("spec", None)
        return
    if spec is None:
        return
    st.session_state["variant"] = nearest_variant(spec).name
    st.session_state["classes"] = spec.num_classes
    asked = query.get("size", "")
    fits = asked.isdecimal() and len(asked) < 6 and 1 <= int(asked) <= MAX_SIDE
    st.session_state.setdefault("size", int(asked) if fits else default_input_size(spec))
    st.session_state["build"] = True
    _fill(spec)


def _fill(spec: ModelSpec) -> None:
    """Puts the fields of `spec` into the form."""
    spec = spec.replace(name=_own_name(spec.name))
    extra = [f"{s + 1}.{b + 1}" for s, stage in enumerate(spec.extra_projections) for b in stage]
    dilated = [i + 2 for i, on in enumerate(spec.dilation) if on]
    values = {name: getattr(spec, name) for name in ("name", *WIDGETS)} | {
        "blocks": ", ".join(map(str, spec.blocks)),
        "dilated": ", ".join(map(str, dilated)),
        "projections": ", ".join(extra),
        "switches": [k for k in SWITCHES if getattr(spec, k)],
    }
    for key, value in values.items():
        st.session_state[BUILD + key] = value
    choose_spec(spec)
    st.session_state.pop(PROBLEM, None)


def _read_form() -> None:
    """The net is what the form asks for, unless that is impossible."""
    try:
        choose_spec(_spec_of_form())
        st.session_state.pop(PROBLEM, None)
    except ValueError as error:
        st.session_state[PROBLEM] = str(error)


def _build(usual: ModelSpec) -> ModelSpec:
    """The form over a spec; while it asks for something impossible, the last possible one.

    `usual` is the variant that it begins with, and has the number of classes.
    """
    if f"{BUILD}name" not in st.session_state or chosen_spec() is None:
        _fill(usual)
    spec = (chosen_spec() or usual).replace(num_classes=usual.num_classes)
    with st.container(border=True):
        _form(usual)
        _files(spec)
    if problem := st.session_state.get(PROBLEM):
        st.error(f"{escape_markdown(problem)}. Below is the last net that was possible.")
    return spec


def _form(usual: ModelSpec) -> None:
    """The widgets, two rows of six; `_fill` has set them."""
    top, low = (st.columns([1, 1.6, 1.1, 1.4, 1, 1], vertical_alignment="bottom") for _ in range(2))

    def choose(cell: Any, name: str, labels: dict[Any, str]) -> None:
        value = getattr(usual, name)
        fields.choice(cell, ModelSpec, name, value, BUILD + name, labels, on_change=_read_form)

    def number(cell: Any, name: str) -> None:
        value = getattr(usual, name)
        fields.number(cell, ModelSpec, name, value, BUILD + name, on_change=_read_form)

    def text(cell: Any, label: str, key: str) -> None:
        cell.text_input(label, key=BUILD + key, help=HELP.get(key), max_chars=200, on_change=_read_form)

    text(top[0], "Name", "name")
    choose(
        top[1], "block", {k: BLOCK_NAMES.get(k, ", ".join(f"{side}×{side}" for side in k)) for k in BLOCKS}
    )
    text(top[2], FIELDS["blocks"].title, "blocks")
    choose(top[3], "shortcut", SHORTCUTS)
    number(top[4], "width")
    choose(top[5], "norm", NORMS)
    number(low[0], "groups")
    low[1].multiselect(
        "Switches", list(SWITCHES), key=f"{BUILD}switches", format_func=SWITCHES.__getitem__,
        placeholder="none", on_change=_read_form,
    )  # fmt: skip
    number(low[2], "width_per_group")
    choose(low[3], "stem", STEMS)
    text(low[4], "Dilated stages", "dilated")
    text(low[5], "Projections", "projections")


def _spec_of_form() -> ModelSpec:
    """The spec that the form asks for.

    Raises:
        ValueError: for something impossible; it names the field.
    """
    asked = {str(key).removeprefix(BUILD): value for key, value in st.session_state.items()}
    blocks = tuple(_whole("blocks", part) for part in _parts(asked["blocks"]))
    values: dict[str, Any] = {name: asked[name] for name in WIDGETS}
    return ModelSpec(
        name=_own_name(asked["name"].strip()),
        blocks=blocks,
        dilation=_dilation(asked["dilated"], len(blocks)),
        extra_projections=_projections(asked["projections"], blocks),
        **values | {name: name in asked["switches"] for name in SWITCHES},
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
    if problem := st.session_state.pop(FILE_PROBLEM, ""):
        st.error(escape_markdown(problem))


def _read_file() -> None:
    """An uploaded spec replaces the fields of the form, if it is one."""
    file = st.session_state[f"{BUILD}file"]
    if file is None:
        return
    try:
        spec = ModelSpec.from_json(file.getvalue())
    except SchemaError as error:
        st.session_state[FILE_PROBLEM] = f"{file.name} is no spec of this lab: {error}."
        return
    st.session_state["classes"] = spec.num_classes
    _fill(spec)
