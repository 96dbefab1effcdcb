"""What others published about the nets, as they printed it; every number is in docs/reference.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resnet_lab.models.spec import PLAIN, ModelSpec
from resnet_lab.models.variants import VARIANTS

PARAMS, MACS = "parameters", "MACs"
IMAGENET, TEN_CROPS = "ImageNet top-1 accuracy", "ImageNet top-1 error, 10 crops"
CIFAR, CIFAR_ACCURACY = "CIFAR-10 test error", "CIFAR-10 test accuracy"
HE_2015, HE_2016 = "He et al. 2015", "He et al. 2016"

# torchvision: parameters, GMACs at 224 × 224, top-1 accuracy (%) of the weights V1 and V2
_TORCHVISION = {
    "resnet18": ("11,689,512", "1.814 G", "69.758", ""),
    "resnet34": ("21,797,672", "3.664 G", "73.314", ""),
    "resnet50": ("25,557,032", "4.089 G", "76.130", "80.858"),
    "resnet101": ("44,549,160", "7.801 G", "77.374", "81.886"),
    "resnet152": ("60,192,808", "11.514 G", "78.312", "82.284"),
    "resnext50_32x4d": ("25,028,904", "4.230 G", "77.618", "81.198"),
    "resnext101_32x8d": ("88,791,336", "16.414 G", "79.312", "82.834"),
    "wide_resnet50_2": ("68,883,240", "11.398 G", "78.468", "81.602"),
    "wide_resnet101_2": ("126,886,696", "22.753 G", "78.848", "82.510"),
}
_TUTORIALS = {  # parameters, MACs, top-1 accuracy (%)
    "resnet50": ("25.6 M", "4.1 G", "76.5"),
    "resnet101": ("44.5 M", "7.8 G", "77.8"),
    "resnet152": ("60.2 M", "11.6 G", "78.3"),
}
_TEN_CROPS = {  # He et al. 2015, top-1 error (%)
    "plain18": "27.94", "resnet18": "27.88", "plain34": "28.54", "resnet34": "24.52",
    "resnet50": "22.85", "resnet101": "21.75", "resnet152": "21.43",
}  # fmt: skip
_CIFAR = {  # parameters, MACs at 32 × 32, test error (%) in the paper and in akamaster's repository
    "resnet20": ("269,722", "40.6 M", "8.75", "8.27"),
    "resnet32": ("464,154", "68.9 M", "7.51", "7.37"),
    "resnet44": ("658,586", "97.2 M", "7.17", "6.90"),
    "resnet56": ("853,018", "125.5 M", "6.97", "6.61"),
    "resnet110": ("1,727,962", "252.9 M", "6.43", "6.32"),
    "resnet1202": ("19,421,274", "2,830 M", "7.93", "6.18"),
}
_PLAIN_CIFAR = {"plain20": "about 9.5", "plain32": "about 10", "plain44": "about 12", "plain56": "about 13.5",
                "plain110": "above 60"}  # fmt: skip
_PREACTIVATION = {"preact_resnet110": "6.37", "preact_resnet164": "5.46"}  # He et al. 2016
# He et al. 2016, Table 1: ResNet-110 with other shortcuts, median of 5 runs; "fail" is an error above 20 %.
_SHORTCUTS: tuple[
    tuple[str, str, dict[str, Any]], ...
] = (  # test error, the paper's words, and the net's spec
    ("6.61", "original", {}),
    ("fail", "constant scaling: shortcut 0, F 1, a plain net", PLAIN),
    ("fail", "constant scaling: shortcut 0.5, F 1", {"shortcut_scale": (0.5,)}),
    ("12.35", "constant scaling: shortcut 0.5, F 0.5", {"shortcut_scale": (0.5,), "residual_scale": (0.5,)}),
    ("fail", "exclusive gating, initial bias 0", {"join": "exclusive_gate", "gate_bias": 0.0}),
    ("8.70", "exclusive gating, initial bias −6", {"join": "exclusive_gate", "gate_bias": -6.0}),
    ("9.81", "exclusive gating, initial bias −7", {"join": "exclusive_gate", "gate_bias": -7.0}),
    ("12.86", "shortcut-only gating, initial bias 0", {"join": "shortcut_gate", "gate_bias": 0.0}),
    ("6.91", "shortcut-only gating, initial bias −6", {"join": "shortcut_gate", "gate_bias": -6.0}),
    ("12.22", "1×1 convolution on every shortcut", {"shortcut": "projection_all"}),
    ("fail", "dropout 0.5 on every shortcut", {"join": "dropout", "drop_rate": 0.5}),
)
_TUTORIAL = {"tutorial_resnet50": ("35,374,474", "108,597,248", "78.41")}


@dataclass(frozen=True)
class Published:
    """One figure of someone else's; `text` is how they print it."""

    quantity: str
    text: str
    source: str
    note: str = ""


def _column(table: Mapping[str, tuple[str, ...]], index: int) -> dict[str, str]:
    return {variant: row[index] for variant, row in table.items() if row[index]}


_FIGURES: tuple[tuple[str, str, str, dict[str, str]], ...] = (  # quantity, source, note; text by variant
    (PARAMS, "torchvision", "", _column(_TORCHVISION, 0)),
    (PARAMS, "tutorials", "", _column(_TUTORIALS, 0)),
    (PARAMS, "recount, option A shortcuts", "", _column(_CIFAR, 0)),
    (PARAMS, "the tutorial", "", _column(_TUTORIAL, 0)),
    (MACS, "torchvision", "", _column(_TORCHVISION, 1)),
    (MACS, "tutorials", "", _column(_TUTORIALS, 1)),
    (MACS, "recount, option A shortcuts", "", _column(_CIFAR, 1)),
    (MACS, HE_2015, "stride on the first 1×1; ours: on the 3×3, as torchvision", {"resnet50": "3.8 G"}),
    (MACS, "recount, at 32 × 32", "", _column(_TUTORIAL, 1)),
    (TEN_CROPS, HE_2015, "", _TEN_CROPS),
    (CIFAR, HE_2015, "", _column(_CIFAR, 2)),
    (CIFAR, "akamaster/pytorch_resnet_cifar10", "", _column(_CIFAR, 3)),
    (CIFAR, "a reproduction", "read off Fig. 6 of He et al. 2015", _PLAIN_CIFAR),
    (CIFAR, HE_2016, "", _PREACTIVATION),
    (IMAGENET, "torchvision", "weights IMAGENET1K_V1", _column(_TORCHVISION, 2)),
    (IMAGENET, "torchvision", "weights IMAGENET1K_V2, a longer recipe", _column(_TORCHVISION, 3)),
    (IMAGENET, "tutorials", "", _column(_TUTORIALS, 2)),
    (CIFAR_ACCURACY, "the tutorial", "Adam, lr 1e-3, 100 epochs, no augmentation", _column(_TUTORIAL, 2)),
)
_NOTES = {  # on one figure alone
    ("resnet34", HE_2015): "option B; A gives 25.03, C 24.19",
    ("resnet110", HE_2015): "the best run; all of them: 6.61 ± 0.16",
    ("preact_resnet110", HE_2016): "the same depth with ReLU after the addition: 6.61 %",
    ("preact_resnet164", HE_2016): "the same depth with ReLU after the addition: 5.93 %",
}


def published(variant: str) -> tuple[Published, ...]:
    """Everything that docs/reference.md holds about a variant: counts first, then accuracies; () if nothing."""
    return tuple(
        Published(
            quantity,
            of[variant] if quantity in (PARAMS, MACS) else f"{of[variant]} %",
            source,
            _NOTES.get((variant, source), note),
        )
        for quantity, source, note, of in _FIGURES
        if variant in of
    )


def other_shortcuts(spec: ModelSpec) -> tuple[tuple[Published, ModelSpec], ...]:
    """He et al. 2016, Table 1, for a CIFAR net whose shortcuts are of the kinds there: each figure, which is of 110
    layers, and the net of the depth of `spec` with such shortcuts; () for another net.
    """
    base = VARIANTS["resnet110"].replace(blocks=spec.blocks, name=spec.name, num_classes=spec.num_classes)
    of_shortcuts = {name: getattr(base, name) for name in (*PLAIN, "gate_bias", "drop_rate")}
    if len(set(spec.blocks)) > 1 or spec.is_plain or spec.replace(**of_shortcuts) != base:
        return ()
    return tuple(
        (
            Published(
                CIFAR, f"{text} %" if text != "fail" else text, f"{HE_2016}, Table 1", f"110 layers, {words}"
            ),
            base.replace(**fields),
        )
        for text, words, fields in _SHORTCUTS
    )


def same_net(a: ModelSpec, b: ModelSpec) -> bool:
    """Whether two nets differ in nothing but their names, and in fields that their joins do not read; where every
    shortcut is cut, the net is a plain one.
    """
    return _read_fields(a) == _read_fields(b)


def _read_fields(spec: ModelSpec) -> ModelSpec:
    unread: dict[str, Any] = {"name": "", "num_classes": 1}
    if "gate" not in spec.join:
        unread["gate_bias"] = 0.0
    if spec.join not in ("dropout", "stochastic_depth"):
        unread["drop_rate"] = 0.0
    is_sum = (spec.join, spec.residual_scale, spec.learned_scale) == ("sum", (1.0,), False)
    return spec.replace(**unread, **PLAIN if is_sum and spec.shortcut_scale == (0.0,) else {})


def cifar_error(variant: str) -> float | None:
    """Test error (%) on CIFAR-10 after 64k iterations in He et al. 2015; of plain nets as read off its Fig. 6.

    None where the paper has no such net, or no number ("above 60").
    """
    if variant in _CIFAR:
        return float(_CIFAR[variant][2])
    about, _, number = _PLAIN_CIFAR.get(variant, "").partition(" ")
    return float(number) if about == "about" else None
