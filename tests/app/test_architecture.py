"""The architecture page without a browser."""

import re

import pytest

from resnet_lab.models import VARIANTS


def facts(at):
    """The numbers above the diagram."""
    text = " ".join(element.proto.body for element in at.get("html"))
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))


def captions(at):
    return " ".join(caption.value for caption in at.caption)


def test_resnet50_is_read_to_the_last_layer(open_page):
    at = open_page("architecture", variant="resnet50")
    assert not at.exception
    assert facts(at)["Parameters"] == "25,557,032"
    assert facts(at)["MACs"] == "4.089 G"
    assert facts(at)["FLOPs (2 × MACs)"] == "8.178 G"
    assert facts(at)["Layers, as the papers count"] == "50"
    layers = at.dataframe[0].value
    assert layers["layer"].iloc[0] == "conv1"
    assert layers["output"].iloc[0] == "64 × 112 × 112"
    assert (layers["kernel"].iloc[0], layers["stride"].iloc[0], layers["padding"].iloc[0]) == (
        "7×7",
        "2",
        "3",
    )
    assert layers["layer"].iloc[-1] == "fc"


@pytest.mark.parametrize(
    "variant", ["resnet18", "plain34", "resnet110", "preact_resnet20", "tutorial_resnet50"]
)
def test_the_sums_shown_are_those_of_the_columns(open_page, variant):
    at = open_page("architecture", variant=variant)
    layers = at.dataframe[0].value
    shown = next(m.value for m in at.markdown if m.value.startswith("**Sum of"))
    rows, params, macs = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", shown))
    assert (rows, params, macs) == (len(layers), layers["parameters"].sum(), layers["MACs"].sum())
    assert facts(at)["Parameters"] == f"{params:,}"


def test_a_new_variant_comes_with_its_own_size_and_classes(open_page):
    at = open_page("architecture", variant="resnet34", block=3)
    at.number_input(key="size").set_value(97).run()
    assert at.dataframe[0].value["output"].iloc[0] == "64 × 49 × 49"
    at.selectbox(key="variant").set_value("plain20").run()
    assert not at.exception
    assert [at.number_input(key=k).value for k in ("size", "classes", "block")] == [32, 10, 1]
    assert facts(at)["Parameters"] == "269,722"


def test_a_link_restores_the_view_and_its_nonsense_is_dropped(open_page):
    at = open_page("architecture", variant="resnet20", size="64", classes="100", block="2")
    assert [at.number_input(key=k).value for k in ("size", "classes", "block")] == [64, 100, 2]
    assert facts(at)["Parameters"] == f"{269_722 + 90 * 65:,}"
    at = open_page("architecture", variant="resnet51", size="-5", classes="many")
    assert not at.exception
    assert at.selectbox(key="variant").value == "resnet50"
    assert [at.number_input(key=k).value for k in ("size", "classes")] == [224, 1000]


def test_beside_its_twin(open_page):
    at = open_page("architecture", variant="resnet34")
    at.toggle(key="twin").set_value(True).run()
    pair = at.dataframe[1].value
    assert list(pair["net"]) == ["resnet34", "plain34"]
    assert list(pair["parameters"]) == [21_797_672, 21_797_672 - 173_824]
    assert "173,824 parameters" in captions(at)
    at.selectbox(key="variant").set_value("plain20").run()
    assert list(at.dataframe[1].value["net"]) == ["plain20", "resnet20"]
    assert "Not one parameter" in captions(at)


def test_published_figures_stand_beside_ours(open_page):
    at = open_page("architecture", variant="resnet50", size="64", classes="10")
    figures = at.dataframe[1].value
    exact = figures[figures["published"] == "25,557,032"]
    assert list(exact["ours"]) == ["25,557,032"]  # of the published net, whatever the inputs above
    assert "22.85 %" in list(figures["published"])
    at = open_page("architecture", variant="plain50")
    assert len(at.dataframe) == 1
    assert any("Nobody published" in m.value for m in at.markdown)


def test_train_this_net_links_to_training_with_it(open_page):
    at = open_page("architecture", variant="resnet32")
    link = next(link.proto for link in at.get("page_link") if link.proto.label == "Train this net")
    assert (link.page, link.query_string) == ("training", "model=resnet32")
    assert open_page("training", model="resnet32").selectbox(key="model").value == "resnet32"


def test_all_variants_are_offered(open_page):
    assert open_page("architecture").selectbox(key="variant").options == list(VARIANTS)
