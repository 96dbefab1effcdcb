"""A net, read layer by layer: diagram, layer table, memory, side by side, take away, published figures."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Architecture")

from resnet_lab.inspection import layer_table  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.models import VARIANTS  # noqa: E402
from resnet_lab.ui import architecture as show  # noqa: E402
from resnet_lab.ui.beside_view import beside_view  # noqa: E402
from resnet_lab.ui.layer_view import layer_view  # noqa: E402
from resnet_lab.ui.memory_view import memory_view  # noqa: E402
from resnet_lab.ui.net_diagram import diagram  # noqa: E402
from resnet_lab.ui.net_form import pick_net  # noqa: E402
from resnet_lab.ui.state import one_of  # noqa: E402
from resnet_lab.ui.take_away_view import take_away_view  # noqa: E402
from resnet_lab.ui.text import escape_markdown  # noqa: E402

VIEWS = ["Layers", "Memory", "Side by side", "Take away", "Published"]

spec, size = pick_net()
with st.spinner("Reading the net"):
    try:
        table = layer_table(spec, (3, size, size))
        st.session_state["architecture.read"] = (spec, size)
    except ValueError as error:  # nothing is left of a picture, or a norm has but one value
        spec, size = st.session_state.get("architecture.read", (VARIANTS["resnet50"], 224))
        st.error(escape_markdown(f"{error}. Below is {spec.name} with pictures of {size} × {size}."))
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
    beside_view(spec, table)
elif view == "Take away":
    take_away_view(spec, table)
else:
    show.beside_published(spec)
