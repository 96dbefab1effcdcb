"""Ask a net about images, see where it looks, and whether that is true."""

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Prediction")

from resnet_lab.ui.common.widgets import one_of, problems_said  # noqa: E402
from resnet_lab.ui.prediction.all_stages import all_stages_view  # noqa: E402 (torch comes with it)
from resnet_lab.ui.prediction.batch import batch_view  # noqa: E402
from resnet_lab.ui.prediction.compare import compare_view  # noqa: E402
from resnet_lab.ui.prediction.crops import crops_view  # noqa: E402
from resnet_lab.ui.prediction.images import choose_image, choose_images  # noqa: E402
from resnet_lab.ui.prediction.localization import localization_view  # noqa: E402
from resnet_lab.ui.prediction.maps import DivergedError  # noqa: E402
from resnet_lab.ui.prediction.net import choose_net  # noqa: E402
from resnet_lab.ui.prediction.prediction import prediction_view  # noqa: E402
from resnet_lab.ui.prediction.sanity_checks import sanity_checks_view  # noqa: E402

OF_ONE = {
    "Prediction": prediction_view,
    "All stages": all_stages_view,
    "Test-time crops": crops_view,
    "Compare": compare_view,
    "Sanity checks": sanity_checks_view,
}
OF_ALL = {"Localization": localization_view, "Batch": batch_view}

controls, results = st.columns([1, 2.6], gap="medium")
with controls:
    net = choose_net()
    images = choose_images(net) if net else None
    image = choose_image(images, net) if images and net else None

with results:
    view = one_of("View", [*OF_ONE, *OF_ALL], key="view", default="Prediction", label_visibility="collapsed")
    if net is None and not st.session_state.get("net"):
        st.info(
            "No net has been trained here yet. Train one first, it takes about a minute on a laptop; "
            "or choose one of the ImageNet nets on the left.",
            icon=":material/arrow_back:",
        )
        st.page_link(
            navigation.page_path("training"), label="Train a first net", icon=":material/show_chart:"
        )
    elif net and images is None:
        st.info("Upload images, or choose another source, on the left.", icon=":material/arrow_back:")
    elif net and images and view in OF_ALL:
        OF_ALL[view](net, images)
    elif net and image:
        with problems_said(DivergedError):
            OF_ONE[view](net, image)
