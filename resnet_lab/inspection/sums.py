"""What a block adds up, in signs: y = F(x) + 0.5 x."""

from __future__ import annotations

from resnet_lab.models import ModelSpec
from resnet_lab.models.spec import BlockShape

NOTES = {  # by the spec's join
    "sum": "",
    "exclusive_gate": "g = σ(W_g x + b_g), a 1×1 convolution; Highway Networks; He et al. 2016, Fig. 2(c).",
    "shortcut_gate": "g = σ(W_g x + b_g), a 1×1 convolution; He et al. 2016, Fig. 2(d).",
    "dropout": "In training d is 0 or 1 / (1 − rate), drawn for each value, else 1 (He et al. 2016, Fig. 2(f)).",
    "stochastic_depth": "In training b is 0 or 1 for a whole batch; in use it is its mean (Huang et al. 2016).",
}
ON_RESIDUAL = {"exclusive_gate": "g", "stochastic_depth": "b"}
ON_SHORTCUT = {"exclusive_gate": "(1 − g)", "shortcut_gate": "(1 − g)", "dropout": "d"}


def factors(spec: ModelSpec, shape: BlockShape) -> tuple[list[str], list[str]]:
    """What F(x) and the shortcut of a block are multiplied by, such as "0.5" and "(1 − g)"."""
    beta = "β" if spec.learned_scale else _number(shape.residual_scale)
    on_residual = [beta, ON_RESIDUAL.get(spec.join, "")]
    on_shortcut = [_number(shape.shortcut_scale), ON_SHORTCUT.get(spec.join, "")]
    return list(filter(None, on_residual)), list(filter(None, on_shortcut))


def say_sum(spec: ModelSpec, shape: BlockShape, added: str = "x", space: str = " ") -> str:
    """ "F(x) + 0.5 x"; `added` is what the shortcut carries, `space` stands between factors."""
    if shape.shortcut == "none":
        return "F(x)"
    residual, shortcut = factors(spec, shape)
    return " + ".join(space.join(product) for product in ([*residual, "F(x)"], [*shortcut, added]))


def _number(scale: float) -> str:
    return "" if scale == 1 else f"{scale:g}"
