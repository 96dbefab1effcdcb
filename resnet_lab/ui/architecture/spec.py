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
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.shared import shared
from resnet_lab.ui.common.widgets import download, from_link, keep_in_link, options_of

FIELDS = fields_of(ModelSpec)
SWITCHES = {
    name: FIELDS[name].title for name in ("preactivation", "zero_init_residual", "conv_bias", "learned_scale")
}
BUILD = "architecture.build."  # how the keys of the form's widgets begin
LABELS: dict[str, dict[Any, str]] = {  # of fields that are one of several
    "block": {kernels: ", ".join(f"{side}×{side}" for side in kernels) for kernels in BLOCKS}
    | {(3, 3): "3×3, 3×3: Basic", (1, 3, 1): "1×1, 3×3, 1×1: Bottleneck"},
    "shortcut": {
        "pad": "A: padding",
        "projection": "B: projection",
        "projection_all": "C: all projected",
        "none": "none (plain)",
    },
    "stem": {
        "imagenet": "7×7 /2, pool",
        "cifar": "3×3",
        "deep": "three 3×3, pool",
        "tutorial": "7×7 /2, pool, bare",
    },
    "norm": {norm: norm for norm in get_args(Norm)},
    "join": {
        "sum": "sum",
        "exclusive_gate": "exclusive gate",
        "shortcut_gate": "shortcut-only gate",
        "dropout": "dropout on the shortcut",
        "stochastic_depth": "stochastic depth",
    },
}
TEXTS = {  # what is typed: label and help
    "name": ("Name", None),
    "blocks": (FIELDS["blocks"].title, FIELDS["blocks"].help),
    "dilated": ("Dilated stages", "In these stages dilation takes the place of the stride: 3, 4."),
    "projections": (
        "Projections",
        "Blocks that carry a projection although the shape stays: stage.block, such as 2.4, 3.4.",
    ),
    "alphas": ("α by stage or block", "In place of the slider, a number for each: 1, 0.5, 0."),
    "betas": ("β by stage or block", "In place of the slider, a number for each: 1, 0.5, 0."),
}
SCALES = {"shortcut_scale": "alphas", "residual_scale": "betas"}  # a slider, and what is typed in its place
ROWS = (  # of the form
    ("name", "block", "blocks", "shortcut", "width", "norm"),
    ("groups", "switches", "width_per_group", "stem", "dilated", "projections"),
    ("join_setting", "join", "shortcut_scale", "alphas", "residual_scale", "betas"),
)
OTHERS = (*TEXTS, *SCALES, "switches", "join_setting")
WIDGETS = [name for row in ROWS for name in row if name not in OTHERS]  # as the spec has them
NAMES = list(VARIANTS)
START = NAMES.index("resnet50")
PROBLEM = "architecture.problem"  # of what the form asks for
FILE_PROBLEM = "architecture.file_problem"


def pick_spec() -> tuple[ModelSpec, int]:
    """Draws the inputs; returns the spec that they ask for, or the last possible one, and the side in pixels."""
    _read_link()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        variant = st.selectbox(
            "Net", NAMES, START, key="variant", bind="query-params", width=200, on_change=_usual_settings
        )
        spec = VARIANTS[variant]
        side = default_input_size(spec)
        size = st.number_input(
            "Input size (px)", 1, MAX_SIDE, side, key="size", bind="query-params", width=130
        )
        classes = fields.ask(
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
    keep_in_link("spec", query.get("spec", ""))
    shared().spec = spec if build else None
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
    spec = None if "variant" in query else shared().spec
    if query.get("spec"):
        spec = from_link("spec", spec_from_link, "This link", " The page shows a variant instead.")
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
    values = {name: getattr(spec, name) for name in ("name", *WIDGETS)} | {
        "blocks": ", ".join(map(str, spec.blocks)),
        "dilated": ", ".join(str(stage) for stage, on in enumerate(spec.dilation, 2) if on),
        "projections": ", ".join(
            f"{s}.{b + 1}" for s, stage in enumerate(spec.extra_projections, 1) for b in stage
        ),
        "switches": [name for name in SWITCHES if getattr(spec, name)],
        "gate_bias": spec.gate_bias,
        "drop_rate": spec.drop_rate,
    }
    for slider, text in SCALES.items():
        scales = getattr(spec, slider)
        fits = len(scales) == 1 and scales[0] <= 1 and scales[0] == round(scales[0], 2)
        values |= {
            slider: scales[0] if fits else 1.0,
            text: "" if fits else ", ".join(f"{s:g}" for s in scales),
        }
    st.session_state.update({BUILD + key: value for key, value in values.items()})
    shared().spec = spec
    st.session_state.pop(PROBLEM, None)


def _read_form() -> None:
    """The net is what the form asks for, unless that is impossible."""
    try:
        shared().spec = _spec_of_form()
        st.session_state.pop(PROBLEM, None)
    except ValueError as error:
        st.session_state[PROBLEM] = str(error)


def _build(usual: ModelSpec) -> ModelSpec:
    """The form over a spec; while it asks for something impossible, the last possible one.

    `usual` is the variant that it begins with, and has the number of classes.
    """
    if f"{BUILD}name" not in st.session_state or shared().spec is None:
        _fill(usual)
    spec = (shared().spec or usual).replace(num_classes=usual.num_classes)
    with st.container(border=True):
        for names in ROWS:
            cells = st.columns([1, 1.6, 1.1, 1.4, 1, 1], vertical_alignment="bottom")
            for cell, name in zip(cells, names, strict=True):
                _widget(cell, name, usual)
        _files(spec)
    if problem := st.session_state.get(PROBLEM):
        st.error(f"{escape_markdown(problem)}. Below is the last net that was possible.")
    return spec


def _widget(cell: Any, name: str, usual: ModelSpec) -> None:
    """One of the form; `_fill` has set it."""
    look: dict[str, Any] = {"key": BUILD + name, "on_change": _read_form}
    if name == "switches":
        cell.multiselect("Switches", **options_of(SWITCHES), placeholder="none", **look)
    elif name in TEXTS:
        label, help_text = TEXTS[name]
        cell.text_input(
            label, help=help_text, max_chars=200 if name not in SCALES.values() else 20_000, **look
        )
    elif name in SCALES:
        cell.slider(FIELDS[name].title, 0.0, 1.0, step=0.01, help=FIELDS[name].help, **look)
    elif name == "join_setting":
        join = st.session_state[f"{BUILD}join"]
        asked = "gate_bias" if "gate" in join else "drop_rate"
        look = {"key": BUILD + asked, "on_change": _read_form, "disabled": join == "sum"}
        fields.ask(cell, ModelSpec, asked, getattr(usual, asked), **look)
    else:
        fields.ask(cell, ModelSpec, name, getattr(usual, name), labels=LABELS.get(name, {}), **look)


def _spec_of_form() -> ModelSpec:
    """The spec that the form asks for.

    Raises:
        ValueError: for something impossible; it names the field.
    """
    asked: dict[str, Any] = {str(key).removeprefix(BUILD): value for key, value in st.session_state.items()}
    blocks = tuple(_whole("blocks", part) for part in _parts(asked["blocks"]))
    return ModelSpec(
        name=_own_name(asked["name"].strip()),
        blocks=blocks,
        dilation=_dilation(asked["dilated"], len(blocks)),
        extra_projections=_projections(asked["projections"], blocks),
        shortcut_scale=_scales("shortcut_scale", asked),
        residual_scale=_scales("residual_scale", asked),
        **{name: asked.get(name, FIELDS[name].default) for name in ("gate_bias", "drop_rate")},
        **{name: asked[name] for name in WIDGETS} | {name: name in asked["switches"] for name in SWITCHES},
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


def _scales(field: str, asked: dict[str, Any]) -> tuple[float, ...]:
    """What is typed, or else the slider's."""
    parts = [part.strip() for part in asked[SCALES[field]].split(",") if part.strip()]
    try:
        return tuple(map(float, parts)) or (asked[field],)
    except ValueError:
        raise ValueError(f"{field} has {asked[SCALES[field]]!r}, which is no list of numbers") from None


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
