"""A net, read layer by layer: diagram, layer table, memory, side by side, export, published figures."""

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Architecture")

from resnet_lab.inspection import layer_table  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.models import VARIANTS  # noqa: E402
from resnet_lab.ui.architecture import summary as show  # noqa: E402
from resnet_lab.ui.architecture.diagram import diagram  # noqa: E402
from resnet_lab.ui.architecture.export import export_view  # noqa: E402
from resnet_lab.ui.architecture.layers import layer_view  # noqa: E402
from resnet_lab.ui.architecture.memory import memory_view  # noqa: E402
from resnet_lab.ui.architecture.side_by_side import side_by_side_view  # noqa: E402
from resnet_lab.ui.architecture.spec import pick_spec  # noqa: E402
from resnet_lab.ui.common.markdown import escape_markdown  # noqa: E402
from resnet_lab.ui.common.widgets import one_of  # noqa: E402

VIEWS = ["Layers", "Memory", "Side by side", "Export", "Published"]

spec, size = pick_spec()
with st.spinner("Reading the net"):
    try:
        table = layer_table(spec, (3, size, size))
        st.session_state["architecture.read"] = (spec, size)
    except ValueError as error:  # nothing is left of an image, or a norm has but one value
        spec, size = st.session_state.get("architecture.read", (VARIANTS["resnet50"], 224))
        st.error(escape_markdown(f"{error}. Below is {spec.name} with images of {size} × {size}."))
        table = layer_table(spec, (3, size, size))

show.totals(table)
st.caption(show.describe(spec))
diagram(spec, table)

view = one_of("View", VIEWS, key="section", default="Layers", label_visibility="collapsed")
if view == "Layers":
    layer_view(spec, table)
elif view == "Memory":
    memory_view(spec, table)
elif view == "Side by side":
    side_by_side_view(spec, table)
elif view == "Export":
    export_view(spec, table)
else:
    show.beside_published(spec)
