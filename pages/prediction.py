"""Ask a net about a picture, and see where it looks."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Prediction")

from resnet_lab.ui.answer_view import show_answer  # noqa: E402 (torch comes with it)
from resnet_lab.ui.prediction import choose_net, choose_picture  # noqa: E402
from resnet_lab.ui.text import plain  # noqa: E402

controls, results = st.columns([1, 2.6], gap="medium")
with controls:
    net = choose_net()
    picture, problems = choose_picture(net) if net else (None, [])

with results:
    for problem in problems:
        st.error(plain(problem), icon=":material/broken_image:")
    if net is None and not st.session_state.get("net"):
        st.info(
            "No net has been trained here yet. Train one first, it takes about two minutes on a laptop; "
            "or choose one of the ImageNet nets on the left.",
            icon=":material/arrow_back:",
        )
        st.page_link(shell.page_path("training"), label="Train a first net", icon=":material/show_chart:")
    elif net and picture:
        show_answer(net, picture)
    elif net and not problems:
        st.info("Upload a picture, or choose another source, on the left.", icon=":material/arrow_back:")
