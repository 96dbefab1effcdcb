"""What others published agrees with what the lab counts; twins."""

from pathlib import Path

import pytest

from resnet_lab.inspection import layer_table, published, twin_of
from resnet_lab.inspection.table.reference import MACS, PARAMS, other_shortcuts, same_net
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size, get_spec

COUNTED = [name for name in VARIANTS if any(r.quantity in (PARAMS, MACS) for r in published(name))]
TUTORIAL_SLIP = ("resnet152", "11.6 G")  # the tutorials' figure; torchvision and the lab count 11.514 G


def parse(text):
    """25.6 M → the number and half a unit of its last digit."""
    number, _, unit = text.partition(" ")
    digits = number.replace(",", "")
    scale = {"": 1, "M": 1e6, "G": 1e9}[unit]
    return float(digits) * scale, 0.5 * scale * 10.0 ** -len(digits.partition(".")[2])


@pytest.mark.parametrize("name", COUNTED)
def test_published_counts_are_the_labs_as_far_as_they_were_printed(name):
    side = default_input_size(name)
    table = layer_table(name, (3, side, side))
    for record in published(name):
        if record.quantity not in (PARAMS, MACS) or record.source.startswith("He et al."):
            continue
        value, half = parse(record.text)
        ours = table.total_params if record.quantity == PARAMS else table.total_macs
        exact = half == 0.5 and "M" not in record.text
        if (name, record.text) != TUTORIAL_SLIP and record.text != "2,830 M":
            assert abs(ours - value) <= (0 if exact else half), record


def test_rounder_figures_differ_by_less_than_a_hundredth():
    table = layer_table("resnet152")
    assert abs(table.total_macs / 11.6e9 - 1) < 0.01
    assert abs(layer_table("resnet1202", (3, 32, 32)).total_macs / 2.83e9 - 1) < 0.001


def test_the_papers_smaller_count_for_resnet50_is_explained():
    (record,) = [r for r in published("resnet50") if r.source == "He et al. 2015" and r.quantity == MACS]
    assert record.text == "3.8 G"
    assert "first 1×1" in record.note


def test_a_net_that_nobody_published_has_no_record():
    assert published("plain50") == ()
    assert published("custom") == ()


@pytest.mark.parametrize("name", ["18", "34", "50", "20", "110"])
def test_twins_are_each_others(name):
    residual, plain = f"resnet{name}", f"plain{name}"
    assert twin_of(get_spec(residual)) == get_spec(plain)
    assert twin_of(get_spec(plain)) == get_spec(residual)


def test_a_twin_keeps_the_classes_and_a_nameless_one_gets_a_name():
    assert twin_of(get_spec("resnet34").replace(num_classes=7)) == get_spec("plain34").replace(num_classes=7)
    assert twin_of(get_spec("resnet152")).name == "resnet152 without shortcuts"
    assert twin_of(ModelSpec("mine", (3, 1), (2, 2), shortcut="none")).name == "mine with shortcuts"
    assert twin_of(get_spec("tutorial_resnet50")).is_plain


def test_other_shortcuts_are_those_of_the_paper():
    """He et al. 2016, Table 1; docs/reference.md has the numbers, too."""
    found = other_shortcuts(get_spec("resnet110"))
    said = [
        (record.text, net.shortcut_scale, net.residual_scale, net.join, net.shortcut) for record, net in found
    ]
    one, half = (1.0,), (0.5,)
    assert said == [
        ("6.61 %", one, one, "sum", "pad"),
        ("fail", one, one, "sum", "none"),
        ("fail", half, one, "sum", "pad"),
        ("12.35 %", half, half, "sum", "pad"),
        *(
            ("fail" if text == "fail" else f"{text} %", one, one, "exclusive_gate", "pad")
            for text in ("fail", "8.70", "9.81")
        ),
        *((f"{text} %", one, one, "shortcut_gate", "pad") for text in ("12.86", "6.91")),
        ("12.22 %", one, one, "sum", "projection_all"),
        ("fail", one, one, "dropout", "pad"),
    ]
    reference = (Path(__file__).parents[3] / "docs/reference.md").read_text()
    assert all(record.text.removesuffix(" %") in reference for record, _ in found if record.text != "fail")
    assert {net.blocks for _, net in other_shortcuts(get_spec("resnet20").replace(shortcut_scale=0.3))} == {
        (3, 3, 3)
    }
    for other in ("resnet50", "plain110", "preact_resnet110"):
        assert other_shortcuts(get_spec(other)) == ()


def test_nets_are_the_same_by_what_their_joins_read():
    net = get_spec("resnet20")
    assert same_net(net, net.replace(name="mine", gate_bias=-1, drop_rate=0.1, num_classes=5))
    assert same_net(net.replace(shortcut_scale=0), get_spec("plain20"))
    assert not same_net(net.replace(join="exclusive_gate"), net.replace(join="exclusive_gate", gate_bias=0))
    assert not same_net(net.replace(shortcut_scale=0, residual_scale=0.5), get_spec("plain20"))
