"""What others published about the nets, as they printed it; every number is in docs/reference.md."""

from __future__ import annotations

from dataclasses import dataclass

PARAMS, MACS = "parameters", "MACs"
IMAGENET, TEN_CROPS = "ImageNet top-1 accuracy", "ImageNet top-1 error, 10 crops"
CIFAR, CIFAR_ACCURACY = "CIFAR-10 test error", "CIFAR-10 test accuracy"

HE_2015, HE_2016 = "He et al. 2015", "He et al. 2016"
TORCHVISION, TUTORIALS = "torchvision", "tutorials"
RECOUNT = "recount, option A shortcuts"
AKAMASTER = "akamaster/pytorch_resnet_cifar10"
REPRODUCTION = "a reproduction"

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
_PREACTIVATION = {"preact_resnet110": ("6.37", "6.61"), "preact_resnet164": ("5.46", "5.93")}


@dataclass(frozen=True)
class Published:
    """One figure of someone else's; `text` is how they print it."""

    quantity: str
    text: str
    source: str
    note: str = ""


def published(variant: str) -> tuple[Published, ...]:
    """Everything that docs/reference.md holds about a variant: counts first, then accuracies; () if nothing."""
    records = [*_counts(variant), *_paper_errors(variant)]
    if variant in _TORCHVISION:
        _, _, first, second = _TORCHVISION[variant]
        records.append(Published(IMAGENET, f"{first} %", TORCHVISION, "weights IMAGENET1K_V1"))
        if second:
            note = "weights IMAGENET1K_V2, a longer recipe"
            records.append(Published(IMAGENET, f"{second} %", TORCHVISION, note))
    if variant in _TUTORIALS:
        records.append(Published(IMAGENET, f"{_TUTORIALS[variant][2]} %", TUTORIALS))
    if variant == "tutorial_resnet50":
        note = "Adam, lr 1e-3, 100 epochs, no augmentation"
        records.append(Published(CIFAR_ACCURACY, "78.41 %", "the tutorial", note))
    return tuple(records)


def _counts(variant: str) -> list[Published]:
    """Parameters and MACs as others count them."""
    known: list[tuple[str, str, str]] = []
    if variant in _TORCHVISION:
        known.append((*_TORCHVISION[variant][:2], TORCHVISION))
    if variant in _TUTORIALS:
        known.append((*_TUTORIALS[variant][:2], TUTORIALS))
    if variant in _CIFAR:
        known.append((*_CIFAR[variant][:2], RECOUNT))
    records = [Published(PARAMS, params, source) for params, _, source in known]
    records += [Published(MACS, macs, source) for _, macs, source in known]
    if variant == "resnet50":
        note = "stride on the first 1×1; ours: on the 3×3, as torchvision"
        records.append(Published(MACS, "3.8 G", HE_2015, note))
    if variant == "tutorial_resnet50":
        records += [
            Published(PARAMS, "35,374,474", "the tutorial"),
            Published(MACS, "108,597,248", "recount, at 32 × 32"),
        ]
    return records


def _paper_errors(variant: str) -> list[Published]:
    """Errors in the papers, and in reproductions of them."""
    records = []
    if variant in _TEN_CROPS:
        note = "option B; A gives 25.03, C 24.19" if variant == "resnet34" else ""
        records.append(Published(TEN_CROPS, f"{_TEN_CROPS[variant]} %", HE_2015, note))
    if variant in _CIFAR:
        _, _, paper, others = _CIFAR[variant]
        note = "the best run; all of them: 6.61 ± 0.16" if variant == "resnet110" else ""
        records.append(Published(CIFAR, f"{paper} %", HE_2015, note))
        records.append(Published(CIFAR, f"{others} %", AKAMASTER))
    if variant in _PLAIN_CIFAR:
        records.append(
            Published(CIFAR, f"{_PLAIN_CIFAR[variant]} %", REPRODUCTION, "read off Fig. 6 of He et al. 2015")
        )
    if variant in _PREACTIVATION:
        error, original = _PREACTIVATION[variant]
        note = f"the same depth with ReLU after the addition: {original} %"
        records.append(Published(CIFAR, f"{error} %", HE_2016, note))
    return records


def cifar_error(variant: str) -> float | None:
    """Test error (%) on CIFAR-10 after 64k iterations in He et al. 2015; of plain nets as read off its Fig. 6.

    None where the paper has no such net, or no number ("above 60").
    """
    if variant in _CIFAR:
        return float(_CIFAR[variant][2])
    about, _, number = _PLAIN_CIFAR.get(variant, "").partition(" ")
    return float(number) if about == "about" else None
