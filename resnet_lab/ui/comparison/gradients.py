"""Gradients at the start, what others say of them, and gradients as training goes on."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from resnet_lab.analysis.records import LayerSeries
from resnet_lab.experiments.gradients import CORRELATION, GRADIENTS, NORM, GradientSettings, number
from resnet_lab.experiments.training_gradients import TRAINING_GRADIENTS
from resnet_lab.runs import Run
from resnet_lab.ui.common.experiment import experiment_view

CLAIMS = """
| what is said | by whom | measured here just now |
|---|---|---|
| Plain nets with BN have healthy gradient norms, so vanishing gradients do not explain the degradation. \
| He et al. 2015, Sec. 4.1 | plain{depth} with BN, first / middle / last layer: **{plain_bn}** |
| At the start BN makes gradients of a deep plain net grow towards the input. | Yang et al. 2019 (mean field of BN) \
| first layer over last: plain{depth} **{plain_ratio}**, resnet{depth} **{residual_ratio}** |
| Without BN they shrink. | what is often repeated of all plain nets | plain{depth} without BN: **{plain_none}** |
| Without shortcuts gradients of neighbouring inputs are like white noise, with them they stay alike. \
| Balduzzi et al. 2017 (shattered gradients), Sec. 2 and 3 \
| correlation at the first block: plain{depth} **{plain_corr:.2f}**, resnet{depth} **{residual_corr:.2f}** |
"""


def gradients_view(runs: list[Run]) -> None:
    """The start needs no run; the heat maps are those of the chosen ones."""
    experiment_view(GRADIENTS, runs, then=_claims)
    experiment_view(TRAINING_GRADIENTS, runs)


def _claims(records: Sequence[LayerSeries], settings: GradientSettings) -> None:
    of = {(series.quantity, series.net): list(series.values.values()) for series in records}
    plain, residual = f"plain{settings.depth}", f"resnet{settings.depth}"

    def three(net: str) -> str:
        values = of[NORM, net]
        return " / ".join(map(number, (values[0], values[len(values) // 2], values[-1])))

    def ratio(net: str) -> str:
        values = of[NORM, net]
        return f"{number(values[0] / values[-1])} ×" if values[-1] else "no gradient in the last"

    st.markdown(
        CLAIMS.format(
            depth=settings.depth,
            plain_bn=three(plain),
            plain_none=three(f"{plain} without BN"),
            plain_ratio=ratio(plain),
            residual_ratio=ratio(residual),
            plain_corr=of[CORRELATION, plain][0],
            residual_corr=of[CORRELATION, residual][0],
        )
    )
