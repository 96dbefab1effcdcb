"""Ask a net about images, see where it looks, and whether that is true."""

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Prediction")

from resnet_lab.ui.common.widgets import one_of  # noqa: E402
from resnet_lab.ui.prediction.all_stages import grid_view  # noqa: E402
from resnet_lab.ui.prediction.batch import batch_view  # noqa: E402
from resnet_lab.ui.prediction.compare import two_nets_view  # noqa: E402
from resnet_lab.ui.prediction.images import choose_gallery, choose_picture  # noqa: E402
from resnet_lab.ui.prediction.localization import score_view  # noqa: E402
from resnet_lab.ui.prediction.net import choose_net  # noqa: E402
from resnet_lab.ui.prediction.prediction import show_answer  # noqa: E402 (torch comes with it)
from resnet_lab.ui.prediction.sanity_checks import trust_view  # noqa: E402
from resnet_lab.ui.prediction.test_time import crops_view  # noqa: E402

OF_ONE = {"Answer": show_answer, "Stages": grid_view, "Crops": crops_view, "Two nets": two_nets_view}
OF_ALL = {"Scores": score_view, "All images": batch_view}

controls, results = st.columns([1, 2.6], gap="medium")
with controls:
    net = choose_net()
    gallery = choose_gallery(net) if net else None
    picture = choose_picture(gallery, net) if gallery and net else None

with results:
    view = one_of(
        "View", [*OF_ONE, "Trust", *OF_ALL], key="view", default="Answer", label_visibility="collapsed"
    )
    if net is None and not st.session_state.get("net"):
        st.info(
            "No net has been trained here yet. Train one first, it takes about two minutes on a laptop; "
            "or choose one of the ImageNet nets on the left.",
            icon=":material/arrow_back:",
        )
        st.page_link(
            navigation.page_path("training"), label="Train a first net", icon=":material/show_chart:"
        )
    elif net and gallery is None:
        st.info("Upload images, or choose another source, on the left.", icon=":material/arrow_back:")
    elif net and gallery and view in OF_ALL:
        OF_ALL[view](net, gallery)
    elif net and gallery and picture:
        if view == "Trust":
            trust_view(net, picture, gallery)
        else:
            OF_ONE[view](net, picture)
