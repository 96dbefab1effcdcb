"""A net, read layer by layer: diagram, counts, layer table, and what others published about it."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Architecture")

from resnet_lab.inspection import layer_table  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.inspection.layer_table import MAX_SIDE  # noqa: E402
from resnet_lab.models import VARIANTS, default_input_size, get_spec  # noqa: E402
from resnet_lab.models.spec import MAX_CLASSES  # noqa: E402
from resnet_lab.ui import architecture as show  # noqa: E402


def usual_settings() -> None:
    """A new variant comes with the pictures and classes that it is known for."""
    spec = get_spec(st.session_state["variant"])
    st.session_state["size"] = default_input_size(spec)
    st.session_state["classes"] = spec.num_classes
    st.session_state["block"] = 1


with st.container(horizontal=True, vertical_alignment="bottom"):
    variant = st.selectbox(
        "Net",
        list(VARIANTS),
        list(VARIANTS).index("resnet50"),
        key="variant",
        bind="query-params",
        width=220,
        on_change=usual_settings,
    )
    spec = VARIANTS[variant]
    size = st.number_input(
        "Picture side (px)",
        1,
        MAX_SIDE,
        default_input_size(spec),
        key="size",
        bind="query-params",
        width=150,
    )
    classes = st.number_input(
        "Classes", 1, MAX_CLASSES, spec.num_classes, key="classes", bind="query-params", width=150
    )
    block = st.number_input(
        "Block opened below",
        1,
        max(spec.blocks),
        1,
        key="block",
        bind="query-params",
        width=150,
        help="Of every stage: 1 is the first block, which may change the shape; most others look like 2.",
    )
    st.space("stretch")
    training = shell.page_path("training")  # "model" there: a name of its own, or Streamlit drops it
    st.page_link(
        training, label="Train this net", icon=":material/show_chart:", query_params={"model": variant}
    )

with st.spinner("Reading the net"):
    spec = spec.replace(num_classes=classes)
    table = layer_table(spec, (3, size, size))

show.totals(table)
st.caption(show.describe(spec))
show.diagram(spec, table, opened=block - 1)
if not spec.is_plain:
    st.caption(
        "Follow the line from the left: each shortcut leads around its block and joins again at the ⊕."
    )

st.subheader("Layers", anchor=False)
show.layers(table)

twin = "residual" if spec.is_plain else "plain"
if st.toggle(f"Beside its {twin} twin", key="twin", bind="query-params"):
    show.twins(spec, table)

st.subheader("Published figures beside ours", anchor=False)
show.beside_published(VARIANTS[variant])
