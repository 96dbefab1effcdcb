import re

import pytest

from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_from_link, spec_to_link

OWN = [
    VARIANTS["resnet20"].replace(name="half", shortcut_scale=0.5, residual_scale=(1, 0.125, 1e-05)),
    VARIANTS["resnet20"].replace(name="gates", join="exclusive_gate", gate_bias=-6.5, learned_scale=True),
    VARIANTS["resnet20"].replace(
        name="blocks", shortcut_scale=(0.1, 0.2, 0.3) * 3, join="dropout", drop_rate=0.1
    ),
    ModelSpec("a.b c\n%&?=", (1, 3, 1), (1, 2), groups=2, dilation=(True,), extra_projections=((), (1,))),
    ModelSpec("deep", (3, 1, 3), (9,), width=5, stem="deep", norm="group", preactivation=True),
    VARIANTS["tutorial_resnet50"].replace(extra_projections=(), num_classes=7),
    VARIANTS["resnet50"].replace(name="dilated", dilation=(False, True, True), zero_init_residual=True),
]


@pytest.mark.parametrize("spec", [*VARIANTS.values(), *OWN], ids=lambda spec: spec.name)
def test_there_and_back(spec):
    link = spec_to_link(spec)
    assert spec_from_link(link) == spec
    assert re.fullmatch(r"[\w.%-]+", link, re.ASCII)


def test_short():
    assert spec_to_link(VARIANTS["resnet50"]) == "resnet50"
    own = VARIANTS["resnet50"].replace(width=32, blocks=(3, 3, 3), dilation=(False, True))
    assert spec_to_link(own) == "resnet50.blocks-3-3-3.width-32.dilation-0-1"
    weighed = VARIANTS["resnet20"].replace(shortcut_scale=(1, 0.5, 0), gate_bias=-7)
    assert spec_to_link(weighed) == "resnet20.shortcut_scale-1-0p5-0.gate_bias-m7"


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("", "begins with ''"),
        ("resnet51.width-3", "begins with 'resnet51'"),
        ("resnet50.layers-3", "unknown field 'layers'"),
        ("resnet50.__init__-3", "unknown field '__init__'"),
        ("resnet50.", "unknown field ''"),
        ("resnet50.width-wide", "width is 'wide' in the link"),
        ("resnet50.width", "width is '' in the link"),
        ("resnet50.dilation-0-2-0", "dilation is '0-2-0' in the link"),
        ("resnet50.width-0", "width is 0; it may be"),
        ("resnet50.blocks-1000000", r"blocks adds up to 1,000,000; it may be up to 2,000 \(three times"),
        ("resnet20.shortcut_scale-wide", "shortcut_scale is 'wide' in the link"),
        ("resnet20.shortcut_scale-nan", "shortcut_scale is .*it may be a list"),
        ("resnet20.shortcut_scale-1-1", "shortcut_scale has 2 numbers"),
        ("resnet20.gate_bias-", "gate_bias is '' in the link"),
        ("resnet50.shortcut-wormhole", "shortcut is 'wormhole'"),
    ],
)
def test_nonsense_is_named(link, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        spec_from_link(link)
    assert "\n" not in str(caught.value)
