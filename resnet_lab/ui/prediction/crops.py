"""One image tested in three ways: a single crop, ten crops, and several scales."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.attribution import preserve_state
from resnet_lab.models.classifier import EvalTransform
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.prediction.images import BY_KEY, InputImage
from resnet_lab.ui.prediction.maps import checked
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import likeliest, scope, show_top

SCALES = (224, 256, 384, 480, 640)  # He et al. 2015, Sec. 3.4, of a net that was trained on crops of 224


def crops_view(net: Net, image: InputImage) -> None:
    """Mean probabilities of each way, and what it costs."""
    side, sides = net.side, _sides(net)
    about = {
        "Single crop": f"The middle, {side} × {side}",
        "Ten crops": f"Corners, middle and their mirror images, {side} × {side}",
        "Five scales": f"The whole image (up to 4 : 1), short side {', '.join(map(str, sides[:-1]))} and {sides[-1]}",
    }
    for column, (title, how) in zip(st.columns(3, gap="medium"), about.items(), strict=True):
        with column:
            found, seconds = _predicted(net, image, title)
            top = likeliest(checked(found))
            st.markdown(f"**{title}**: {escape_markdown(net.classes[top[0]])}, {percent(found[top[0]])}")
            show_top(net, found, narrow=True)
            st.caption(f"{how}. {1000 * seconds:,.0f} ms.")
    known = f" {image.name} shows {escape_markdown(image.truth)}." if image.truth else ""
    st.caption(
        "Probabilities are averaged over the crops or scales. Nets that were trained on one size lose at sizes far "
        f"from it, and small images gain nothing by being enlarged.{known}{scope(net, image)}"
    )


def _sides(net: Net) -> list[int]:
    return [round(net.side * scale / 224) for scale in SCALES]


def _views(net: Net, image: InputImage, way: str) -> list[Tensor]:
    """Batches uint8 (N, 3, H, W) of the image, cut or scaled in one of the ways."""
    if way == "Single crop":
        return [image.pixels[None]]
    from resnet_lab.data.views import pyramid, ten_crops  # here, as torchvision takes a while

    if way == "Ten crops":
        return [ten_crops(image.whole, net.side, max(net.image_size, round(net.side * 256 / 224)))]
    return pyramid(image.whole, _sides(net))


@st.cache_data(max_entries=100, scope="session", show_spinner="Running the net …", hash_funcs=BY_KEY)
def _predicted(net: Net, image: InputImage, way: str) -> tuple[NDArray[np.float32], float]:
    """Mean probabilities (classes,), and the seconds that they took."""
    as_it_comes = net.replace(transform=EvalTransform())  # the ways here stand in for the net's own
    with preserve_state(net.model):
        began = time.perf_counter()
        found = [as_it_comes.predict(batch) for batch in _views(net, image, way)]
        seconds = time.perf_counter() - began
    return torch.cat(found).mean(0).numpy(), seconds
