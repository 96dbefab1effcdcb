"""The diagram is well-formed SVG that shows what the table says, inside its own borders."""

import re
from xml.etree import ElementTree

import pytest

from resnet_lab.inspection import Ink, Selection, diagram_svg, layer_table
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size, get_spec

INK = Ink("#111111", "#FFFFFF", "#0072B2")
SVG = "{http://www.w3.org/2000/svg}"
CUSTOM = [
    ModelSpec("six", (3, 3), (1, 2, 3, 4, 9, 12), width=16, stem="deep", norm="group"),
    ModelSpec("one", (3, 1, 3), (1,), norm="none", num_classes=1),
    get_spec("resnet50").replace(name="dilated", dilation=(False, True, True)),
    get_spec("resnet34").replace(name="everywhere", shortcut="projection_all"),
    get_spec("resnet50").replace(
        name="gates", join="exclusive_gate", shortcut_scale=0.25, residual_scale=0.125
    ),
]


def draw(spec, opened=0, **view):
    spec = get_spec(spec)
    side = default_input_size(spec)
    opened = opened if isinstance(opened, tuple) else (opened,) * 6
    svg = diagram_svg(spec, layer_table(spec, (3, side, side)), INK, Selection(opened, **view))
    return ElementTree.fromstring(svg)


def words(svg):
    return [element.text for element in svg.iter(f"{SVG}text")]


def dashes(svg):
    return [path.get("stroke-dasharray") for path in svg.iter(f"{SVG}path") if path.get("stroke-dasharray")]


def additions(svg):
    return len(list(svg.iter(f"{SVG}circle")))


@pytest.mark.parametrize("spec", [*sorted(set(VARIANTS) - {"resnet1202"}), *CUSTOM], ids=str)
@pytest.mark.parametrize("opened", [0, 1, 50])
def test_every_label_stays_inside(spec, opened):
    svg = draw(spec, opened)
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.iter(f"{SVG}text"):
        length = 0.5 * float(text.get("font-size")) * len(text.text)  # of Source Sans, on average
        start = (
            float(text.get("x")) - {"middle": length / 2, "start": 0, "end": length}[text.get("text-anchor")]
        )
        assert start >= 0, text.text
        assert start + length <= width, text.text
        assert 0 < float(text.get("y")) < height
    for box in svg.iter(f"{SVG}rect"):
        assert float(box.get("x")) + float(box.get("width")) <= width
        assert float(box.get("y")) + float(box.get("height")) <= height


def test_boxes_name_kernels_channels_and_strides():
    text = words(draw("resnet50"))
    assert {"7×7, 64 /2", "max pool /2", "1×1, 256", "3×3, 128 /2", "1×1, 2048", "fc 1,000"} <= set(text)
    assert {"56 × 56", "28 × 28", "14 × 14", "7 × 7", "2,048 channels"} <= set(text)
    assert "3×3, 128" in words(draw("resnet50", opened=1))


def test_groups_and_dilation_are_written_down():
    assert words(draw("resnext50_32x4d")).count("32 groups") == 4
    text = words(draw(CUSTOM[2], opened=1))
    assert {"dilation 2", "dilation 4", "1,024 channels, dilation 2"} <= set(text)


def test_shortcuts_differ_by_their_lines():
    identity_and_projection = draw("resnet34")
    assert set(dashes(identity_and_projection)) == {"0.1 5"}
    # three projections in the chain, three in the cards below, one in the legend
    assert len(dashes(identity_and_projection)) == 7
    assert set(dashes(draw("resnet20"))) == {"7 5"}
    assert len(dashes(draw("resnet20"))) == 2 + 2 + 1
    assert len(dashes(draw(CUSTOM[3]))) == 16 + 4 + 1


def test_every_residual_block_has_its_addition_and_a_plain_net_none():
    assert additions(draw("resnet34")) == 16 + 4 + 1  # chain, cards, legend
    assert additions(draw("plain34")) == 0
    assert "No shortcuts: the only way is through every block." in words(draw("plain34"))


def test_irregular_projections_of_the_tutorial_net_are_seen():
    assert len(dashes(draw("tutorial_resnet50"))) == 4 + 6 + 4 + 1


def test_long_stages_fold_and_any_block_opens():
    svg = draw("resnet152", opened=8)
    assert {"× 5", "× 33"} <= set(words(svg))
    assert [w for w in words(svg) if w.startswith("block ")] == [
        "block 3",
        "block 8",
        "block 9",
        "block 3",
    ]
    assert len(dashes(svg)) == 4 + 1  # opened blocks are identities: only the chain's and the legend's


def test_relu_after_the_addition_only_without_preactivation():
    assert words(draw("resnet110")).count("ReLU") == 3
    assert "ReLU" not in words(draw("preact_resnet110"))


def test_preactivation_norms_stand_above_their_convolution():
    text = words(draw("preact_resnet110", opened=1))
    assert text[text.index("3×3, 32") - 1] == "BN, ReLU"


def test_maps_shrink_in_the_diagram():
    def heights(name):
        boxes = draw(name).iter(f"{SVG}rect")
        titled = {b.find(f"{SVG}title").text: b for b in boxes if b.find(f"{SVG}title") is not None}
        return [float(titled[f"layer{s}.0: no shortcut"].get("height")) for s in (1, 2, 3, 4)]

    assert heights("plain34") == [52, 44, 36, 28]


def test_names_are_escaped():
    spec = ModelSpec('<b onload="x">&', (3, 3), (1,))
    svg = draw(spec)
    assert '<b onload="x">&' in svg.get("aria-label")
    assert {element.tag for element in svg.iter()} <= {
        SVG + t for t in ("svg", "g", "style", "text", "rect", "path", "circle", "polygon", "title")
    }


def test_colours_are_the_ones_given():
    svg = diagram_svg(
        get_spec("plain20"), layer_table("plain20", (3, 32, 32)), Ink("#EEEEEE", "#000000", "#E69F00")
    )
    assert set(re.findall(r"#[0-9A-F]{6}", svg)) == {"#EEEEEE", "#E69F00"}


def paths(svg):
    return [element.get("data-path") for element in svg.iter() if element.get("data-path")]


def marked(svg):
    style = svg.find(f"{SVG}style")
    return set(re.findall(r'data-path="(.*?)"', style.text)) if style is not None else set()


def test_blocks_layers_shortcuts_and_additions_can_be_chosen():
    found = paths(draw("resnet50"))
    assert {"layer1.0", "layer1.2", "layer1.0.conv2", "layer1.0.downsample.0", "layer1.0.add()"} <= set(found)
    assert {"conv1", "maxpool", "avgpool", "fc"} <= set(found)
    rows = {row.key for row in layer_table("resnet50").rows}
    blocks = {f"layer{s + 1}.{b}" for s, n in enumerate((3, 4, 6, 3)) for b in range(n)}
    assert set(found) <= rows | blocks


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("layer3.2", {"layer3.2"}),
        ("layer3.2.conv2", {"layer3.2", "layer3.2.conv2"}),
        (
            "layer3.2.relu1",
            {"layer3.2", "layer3.2.relu1", "layer3.2.conv1"},
        ),  # it is written into conv1's box
        ("layer3.2.add()", {"layer3.2", "layer3.2.add()"}),
        ("layer3.0.downsample.1", {"layer3.0", "layer3.0.downsample.1", "layer3.0.downsample.0"}),
        ("bn1", {"bn1", "conv1"}),
        ("layer1.0\n*{background:url(//elsewhere)}", set()),
        ("", set()),
    ],
)
def test_what_is_chosen_is_marked(chosen, expected):
    opened = (0, 0, 2 if chosen.startswith("layer3.2") else 0, 0)
    assert marked(draw("resnet50", opened=opened, chosen=chosen)) == expected


def test_every_stage_opens_a_block_of_its_own():
    svg = draw("resnet152", opened=(2, 0, 35, 99), chosen="layer3.35")
    assert [w for w in words(svg) if w.startswith("block ")] == [
        "block 3",
        "block 1",
        "block 36",
        "block 3",
    ]


def test_a_folded_stage_unfolds():
    folded = draw("resnet152", opened=(0, 0, 0, 0))
    assert {"fold:2", "fold:3"} <= set(paths(folded))
    unfolded = draw("resnet152", unfolded=3)
    assert {f"layer3.{i}" for i in range(36)} <= set(paths(unfolded))
    assert "Stage 3, all 36 blocks" in words(unfolded)
    height = [float(p.get("viewBox").split()[3]) for p in (folded, unfolded)]
    assert height[1] > height[0]


def test_resnet1202_stays_small_until_it_is_unfolded():
    assert len(paths(draw("resnet1202", opened=(0, 0, 0)))) < 60
    svg = draw("resnet1202", unfolded=2)
    assert {f"layer2.{i}" for i in range(200)} <= set(paths(svg))
    _, _, width, height = map(float, svg.get("viewBox").split())
    for box in svg.iter(f"{SVG}rect"):
        assert 0 <= float(box.get("x")) <= width - float(box.get("width")) + 0.1
    assert height < 1000


def test_dilations_are_marked_in_the_chain():
    text = words(draw(CUSTOM[2], opened=0))
    assert (text.count("d2"), text.count("d4")) == (6, 2)  # five blocks of stage 3 and the first of stage 4


def test_shortcuts_differ_by_their_colours():
    ink = Ink("#111111", "#FFFFFF", "#0072B2", "#00755A", "#A6447F")

    def colours(name):
        side = default_input_size(name)
        svg = ElementTree.fromstring(diagram_svg(get_spec(name), layer_table(name, (3, side, side)), ink))
        return {
            (p.get("stroke-dasharray"), p.get("stroke"))
            for p in svg.iter(f"{SVG}path")
            if p.get("stroke-linecap")
        }

    assert colours("resnet34") == {(None, "#0072B2"), ("0.1 5", "#A6447F")}
    assert colours("resnet20") == {(None, "#0072B2"), ("7 5", "#00755A")}


def test_a_hostile_link_cannot_leave_the_style():
    svg = draw("resnet20", chosen='layer1.0"]{}</style><script>alert(1)</script>')
    assert not list(svg.iter(f"{SVG}script"))


def arcs(svg):
    """The shortcuts: width, and whether they are cut."""
    paths = [path for path in svg.iter(f"{SVG}path") if path.get("stroke-linecap")]
    return [(float(path.get("stroke-width")), path.get("pathLength") is not None) for path in paths]


def test_a_shortcut_is_as_wide_as_its_weight_and_a_cut_one_is_cut():
    usual = arcs(draw("resnet20"))
    assert {is_cut for _, is_cut in usual} == {False}
    weighed = arcs(draw(get_spec("resnet20").replace(shortcut_scale=(1, 0.5, 0))))
    assert (
        sum(is_cut for _, is_cut in weighed) == 3 + 1
    )  # of the third stage in the chain, and the one on its card
    chain = [width for width, _ in weighed]
    assert (
        chain[0] == usual[0][0] > chain[4] > chain[8] > 0
    )  # stage 1 with its card, stage 2 with its card, stage 3


def test_a_sum_says_what_it_adds():
    svg = draw(get_spec("resnet20").replace(shortcut_scale=0.3, residual_scale=0.7))
    assert words(svg).count("× 0.3") == 3
    assert words(svg).count("0.7 ×") == 3
    titles = [title.text for title in svg.iter(f"{SVG}title")]
    assert "layer1.0: y = 0.7 F(x) + 0.3 x" in titles
    assert "layer1.2: identity shortcut, y = 0.7 F(x) + 0.3 x" in titles
    paths = [element.get("data-path") for element in svg.iter() if element.get("data-path")]
    assert "layer2.0.join" in paths
    gated = draw(get_spec("resnet20").replace(join="exclusive_gate"))
    assert {"× (1 − g)", "g ×"} <= set(words(gated))
    assert "layer2.0.join.add()" in [element.get("data-path") for element in gated.iter()]
