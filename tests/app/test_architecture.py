"""The architecture page without a browser."""

import re

import pytest

from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_to_link
from resnet_lab.schema import fields_of


def facts(at):
    """The numbers on the page."""
    text = " ".join(element.proto.body for element in at.get("html"))
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))


def captions(at):
    return " ".join(caption.value for caption in at.caption)


def markdown(at):
    return " ".join(element.value for element in at.markdown)


def totals(at):
    """Rows, parameters, MACs in the line below the table."""
    line = next(m.value for m in at.markdown if m.value.startswith("**Sum of"))
    return [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", line)[:3]]


def params(at):
    return facts(at)["Parameters (all trainable)"]


def test_resnet50_is_read_to_the_last_layer(open_page):
    at = open_page("architecture", variant="resnet50")
    assert not at.exception
    assert params(at) == "25,557,032"
    assert facts(at)["MACs"] == "4.089 G"
    assert facts(at)["FLOPs (2 × MACs)"] == "8.178 G"
    assert facts(at)["Weighted layers"] == "50"
    layers = at.dataframe[0].value
    first = layers.iloc[0]
    assert (first["layer"], first["output"], first["kernel"]) == ("conv1", "64 × 112 × 112", "7×7")
    assert (first["stride"], first["padding"], first["receptive field"]) == ("2", "3", "7")
    assert layers["layer"].iloc[-1] == "fc"
    assert layers["% of parameters"].sum() == pytest.approx(100)
    assert layers["% of MACs"].sum() == pytest.approx(100)


@pytest.mark.parametrize("depth", ["stages", "blocks", "layers"])
@pytest.mark.parametrize("variant", ["plain34", "resnet110", "preact_resnet20", "tutorial_resnet50"])
def test_the_sums_shown_are_those_of_the_columns(open_page, variant, depth):
    at = open_page("architecture", variant=variant, depth=depth)
    layers = at.dataframe[0].value
    rows, total_params, macs = totals(at)
    assert (rows, total_params, macs) == (len(layers), layers["parameters"].sum(), layers["MACs"].sum())
    assert params(at) == f"{total_params:,}"
    memory = re.search(r"([\d,.]+) MB of activations", markdown(at))[1]
    assert f"{layers['activations (kB)'].sum() / 1000:,.1f}" == memory


def test_a_filter_shows_its_share(open_page):
    at = open_page("architecture", variant="resnet50", kinds="Shortcuts")
    layers = at.dataframe[0].value
    assert set(layers["type"]) == {"Conv2d", "BatchNorm2d", "add()"}
    assert totals(at)[:2] == [len(layers), layers["parameters"].sum()]
    at.selectbox(key="architecture.place").set_value("layer2").run()
    assert all(name.startswith("layer2.") for name in at.dataframe[0].value["layer"])
    at.selectbox(key="architecture.place").set_value("head").run()
    assert "No row of this table" in at.info[0].value


def test_resnet1202_begins_with_its_blocks(open_page):
    at = open_page("architecture", variant="resnet1202")
    assert not at.exception
    assert len(at.dataframe[0].value) == 600 + 2
    assert params(at) == "19,421,274"


def test_a_link_to_a_row_explains_it(open_page):
    at = open_page("architecture", variant="resnet50", at="layer2.0.conv2")
    assert not at.exception
    text = markdown(at)
    assert "layer2\\.0\\.conv2" in text or "layer2.0.conv2" in text
    assert "147{,}456" in text  # 128 · 128 · 3 · 3
    assert at.dataframe[0].proto.selection_mode


@pytest.mark.parametrize(
    "at_key",
    ["layer2.0", "layer2.0.add()", "fc", "bn1", "maxpool", "layer4.2.relu3", "layer2.0.downsample.1"],
)
def test_any_row_is_explained(open_page, at_key):
    at = open_page("architecture", variant="resnet50", at=at_key)
    assert not at.exception
    assert "Choose a block or a layer" not in captions(at)


def test_a_block_of_a_plain_net_is_explained_too(open_page):
    at = open_page("architecture", variant="plain34", at="layer2.1")
    assert not at.exception
    assert "Choose a block or a layer" not in captions(at)


def test_nonsense_in_a_link_is_passed_over(open_page):
    at = open_page(
        "architecture", at="layer9.9.conv9", open="x-99999-2", unfold="77", depth="nets", view="Else"
    )
    assert not at.exception
    assert "Choose a block or a layer" in captions(at)
    at = open_page("architecture", variant="resnet51", size="-5", classes="many")
    assert not at.exception
    assert at.selectbox(key="variant").value == "resnet50"
    assert [at.number_input(key=k).value for k in ("size", "classes")] == [224, 1000]


def test_a_new_variant_comes_with_its_own_size_and_classes(open_page):
    at = open_page("architecture", variant="resnet34", open="3")
    at.number_input(key="size").set_value(97).run()
    assert at.dataframe[0].value["output"].iloc[0] == "64 × 49 × 49"
    at.selectbox(key="variant").set_value("plain20").run()
    assert not at.exception
    assert [at.number_input(key=k).value for k in ("size", "classes")] == [32, 10]
    assert params(at) == "269,722"


def test_a_link_restores_the_view(open_page):
    at = open_page("architecture", variant="resnet20", size="64", classes="100")
    assert [at.number_input(key=k).value for k in ("size", "classes")] == [64, 100]
    assert params(at) == f"{269_722 + 90 * 65:,}"


def build(open_page, variant="resnet50"):
    at = open_page("architecture", variant=variant)
    return at.toggle(key="build").set_value(True).run()


def test_build_your_own_begins_with_the_variant(open_page):
    at = build(open_page, "resnext50_32x4d")
    assert not at.exception
    assert params(at) == "25,028,904"
    assert [
        at.number_input(key=f"architecture.build.{k}").value for k in ("width", "groups", "width_per_group")
    ] == [
        64,
        32,
        4,
    ]
    at.number_input(key="architecture.build.width").set_value(32).run()
    own = VARIANTS["resnext50_32x4d"].replace(name="my_resnext50_32x4d", width=32)
    assert at.query_params["spec"] == spec_to_link(own)
    assert params(at) != "25,028,904"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("architecture.build.groups", 2, "groups is 2; only the block"),
        (
            "architecture.build.blocks",
            "3, 0, 6, 3",
            "it may be a list of 1 to 6, each a whole number from 1",
        ),
        ("architecture.build.blocks", "1000000", "adds up to 1,000,000; it may be up to 2,000"),
        ("architecture.build.blocks", "three", "blocks has 'three', which is no whole number"),
        ("architecture.build.blocks", "", "blocks is (); it may be a list of 1 to 6"),
        ("architecture.build.dilated", "1", "dilated stages has 1; it may be stages from 2 to 4"),
        ("architecture.build.dilated", "3", "dilation is"),
        ("architecture.build.projections", "9.1", "projections has 9.1; there is no such block"),
    ],
)
def test_what_is_impossible_is_said_and_the_last_net_stays(open_page, key, value, sentence):
    at = build(open_page, "resnet34")
    widget = at.number_input(key=key) if isinstance(value, int) else at.text_input(key=key)
    widget.set_value(value).run()
    assert not at.exception
    assert sentence in at.error[0].value.replace("\\", "")
    assert params(at) == "21,797,672"


def test_the_forms_limits_are_the_schemas(open_page):
    at = build(open_page)
    for name in ("width", "groups", "width_per_group"):
        box, field = at.number_input(key=f"architecture.build.{name}"), fields_of(ModelSpec)[name]
        assert (box.min, box.max, box.help) == (field.low, field.high, field.help)


def test_every_field_of_a_spec_passes_through_the_form(open_page):
    spec = ModelSpec(
        "whole thing", (1, 3, 1), (1, 2, 2), width=16, groups=4, width_per_group=32, shortcut="projection",
        stem="deep", preactivation=True, zero_init_residual=True, dilation=(False, True), norm="group",
        num_classes=7, conv_bias=True, extra_projections=((), (1,), ()),
    )  # fmt: skip
    at = open_page("architecture", spec=spec_to_link(spec), size="64")
    assert not at.exception
    assert at.query_params["spec"] == spec_to_link(spec)
    assert at.number_input(key="classes").value == 7
    assert at.number_input(key="size").value == 64


def test_a_link_with_a_bad_size_shows_the_usual_one(open_page):
    at = open_page("architecture", spec="resnet18.name-mine.width-32", size="abc")
    assert not at.exception
    assert at.number_input(key="size").value == 224


def test_a_net_of_ones_own_is_not_taken_for_a_variant(open_page):
    at = open_page("architecture", spec="resnet20.width-4.name-resnet50")
    assert train_link(at).query_string.endswith("name-my_resnet50.width-4")
    at = open_page("training", spec="resnet20.width-4")
    assert at.selectbox(key="model").value == "my_resnet20"


def test_a_broken_link_costs_one_sentence(open_page):
    at = open_page("architecture", spec="resnet50.layers-3")
    assert not at.exception
    assert "unknown field 'layers'" in at.error[0].value.replace("\\", "")
    assert params(at) == "25,557,032"


def test_images_that_a_net_cannot_take_cost_one_sentence(open_page):
    spec = VARIANTS["resnet20"].replace(name="grouped", width=16, norm="group", stem="imagenet")
    at = open_page("architecture", spec=spec_to_link(spec), size="1")
    assert not at.exception
    assert "fails at" in at.error[0].value
    assert "Below is resnet50 with images of 224 × 224" in at.error[0].value
    at.number_input(key="size").set_value(64).run()
    assert not at.error
    at.number_input(key="size").set_value(1).run()
    assert "Below is grouped with images of 64 × 64" in at.error[0].value


def test_a_spec_file_fills_the_form(open_page):
    at = build(open_page)
    spec = VARIANTS["resnet20"].replace(name="from a file", num_classes=3)
    file = ("net.json", spec.to_json().encode(), "application/json")
    at.file_uploader(key="architecture.build.file").set_value(file).run()
    assert not at.exception
    assert at.text_input(key="architecture.build.name").value == "from a file"
    assert at.number_input(key="classes").value == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"format": "notebook", "cells": []}', "net.json is no spec of this lab: unknown field 'cells'"),
        (b"[1, 2]", "a model spec is a JSON object"),
        (b"PK\x03\x04\xff\xfe", "this is not text in UTF-8"),
        (b'{"width": "wide"}', "width is 'wide'"),
        (b'{"extra_projections": 3}', "extra_projections is 3"),
    ],
)
def test_a_file_of_another_program_is_refused_in_words(open_page, content, sentence):
    at = build(open_page)
    at.file_uploader(key="architecture.build.file").set_value(("net.json", content, "application/json")).run()
    assert not at.exception
    assert sentence in at.error[0].value.replace("\\", "")
    assert params(at) == "25,557,032"


def test_memory_of_a_step(open_page):
    at = open_page("architecture", variant="resnet50", view="Memory", batch="8")
    shown = facts(at)
    assert (shown["Weights"], shown["Activations"]) == ("102.2 MB", "684.2 MB")
    at.selectbox(key="architecture.precision").set_value("bf16").run()
    assert facts(at)["Activations"] == "348.5 MB"


def test_a_measured_step_stands_beside_the_estimate(open_page):
    at = open_page("architecture", variant="resnet20", view="Memory", batch="8")
    next(b for b in at.button if b.label == "Check with a real step").click().run()
    assert not at.exception
    assert abs(float(facts(at)["off by"].rstrip("%"))) < 5
    assert "Measured once on" in captions(at)


def test_side_by_side_with_its_twin(open_page):
    at = open_page("architecture", variant="resnet34", view="Side by side")
    table = at.dataframe[0].value
    assert list(table["part"]) == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head", "whole net"]
    assert list(table["params 0"])[-1] == 21_797_672
    assert list(table["params 1"])[-1] == 21_797_672 - 173_824
    assert sum(table["params 1"][:-1]) == table["params 1"].iloc[-1]
    assert "173,824 fewer parameters" in captions(at)
    at.selectbox(key="variant").set_value("plain20").run()
    assert not at.exception
    assert "not one parameter" in captions(at)


def test_three_nets_side_by_side(open_page):
    at = open_page("architecture", variant="resnet34", view="Side by side")
    names = ["resnet34 option A", "resnet34 option C"]
    at.multiselect(key="beside").set_value(names).run()
    assert not at.exception
    table = at.dataframe[0].value
    a, b, c = (table[f"params {i}"].iloc[-1] for i in (1, 0, 2))
    assert a < b < c
    at.multiselect(key="beside").set_value([]).run()
    assert "Choose one or two nets" in at.info[0].value


def test_export(open_page):
    at = open_page("architecture", variant="resnet20", view="Take away", source="true")
    assert not at.exception
    labels = [button.proto.label for button in at.get("download_button")]
    assert labels == ["ONNX", "PyTorch source", "Weights", "Spec", "Diagram"]
    assert "class ResNet" in at.code[0].value


def test_published_figures_stand_beside_ours(open_page):
    at = open_page("architecture", variant="resnet50", size="64", classes="10", view="Published")
    figures = at.dataframe[0].value
    exact = figures[figures["published"] == "25,557,032"]
    assert list(exact["ours"]) == ["25,557,032"]  # of the published net, whatever the inputs above
    assert "22.85 %" in list(figures["published"])
    at = open_page("architecture", variant="plain50", view="Published")
    assert not at.dataframe
    assert "Nobody published" in markdown(at)


def train_link(at):
    return next(link.proto for link in at.get("page_link") if link.proto.label == "Train this net")


def test_train_this_net_links_to_training_with_it(open_page):
    link = train_link(open_page("architecture", variant="resnet32"))
    assert (link.page, link.query_string) == ("training", "model=resnet32")
    assert open_page("training", model="resnet32").selectbox(key="model").value == "resnet32"


def test_a_net_of_ones_own_is_trained(open_page):
    spec = VARIANTS["resnet20"].replace(name="narrow", width=4)
    at = open_page("architecture", spec=spec_to_link(spec))
    assert train_link(at).query_string == f"spec={spec_to_link(spec)}"
    at = open_page("training", spec=spec_to_link(spec))
    assert not at.exception
    assert at.selectbox(key="model").value == "narrow"
    at = open_page("training", spec="resnet20.layers-3")
    assert "unknown field" in at.error[0].value
    assert at.selectbox(key="model").value == "resnet20"


def test_all_variants_are_offered(open_page):
    assert open_page("architecture").selectbox(key="variant").options == list(VARIANTS)
