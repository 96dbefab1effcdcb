"""What the lab is, and five experiments to begin with."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Home")

EXPERIMENTS = [  # title, what happens, button, page, what is set there
    (
        "Read a residual net",
        "ResNet-50, from the 7×7 stem to the 1,000 classes: every layer, its shape, and what it costs.",
        "Open ResNet-50",
        "architecture",
        {"variant": "resnet50"},
    ),
    (
        "The same net without shortcuts",
        "Plain-34 has the convolutions of ResNet-34 and nothing that jumps over them. Find the difference.",
        "Open Plain-34",
        "architecture",
        {"variant": "plain34", "view": "Side by side"},
    ),
    (
        "Train one and watch",
        "ResNet-20 learns ten shapes in about a minute and a half on a laptop. No download.",
        "Set up ResNet-20",
        "training",
        {"recipe": "quick"},
    ),
    (
        "Race residual against plain",
        "32 layers each, the same batches in the same order. One learns within a minute; does the other?",
        "Set up the race",
        "comparison",
        {"depth": "32"},
    ),
    (
        "Where does it look?",
        "Ask a net that you trained about a picture, and lay its Grad-CAM over it.",
        "Ask a net",
        "prediction",
        {},
    ),
]

with st.container(horizontal=True, vertical_alignment="center"):
    st.image(str(shell.LOGO), width=64)
    st.title("ResNet Lab", anchor=False)
st.markdown(
    "See why residual networks work. Read nearly thirty nets layer by layer, train them here while you watch, "
    "and set them against the same nets without shortcuts. Then ask a trained net about a picture, "
    "and see where it looks."
)
for row in (EXPERIMENTS[:3], EXPERIMENTS[3:]):
    for column, (title, text, label, page, settings) in zip(st.columns(3), row, strict=False):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.markdown(text)
            st.space("stretch")
            if st.button(label, icon=":material/arrow_forward:", key=title):
                st.switch_page(shell.page_path(page), query_params=settings)
