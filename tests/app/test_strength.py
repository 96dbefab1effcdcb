"""Weighed shortcuts on the Architecture page: form, link, diagram, explanation, published figures."""

from resnet_lab.models import VARIANTS
from resnet_lab.models.links import spec_from_link, spec_to_link

KEY = "architecture.build."


def build(open_page, **changes):
    spec = VARIANTS["resnet20"].replace(name="mine", **changes)
    return open_page("architecture", spec=spec_to_link(spec))


def link_of(at):
    value = at.query_params["spec"]
    return value if isinstance(value, str) else value[0]


def linked(at):
    return spec_from_link(link_of(at))


def said(at):
    return " ".join(caption.value for caption in at.caption)


def test_the_sliders_weigh_the_net_and_the_link_keeps_it(open_page):
    at = build(open_page)
    at.slider(key=f"{KEY}shortcut_scale").set_value(0.5).run()
    at.slider(key=f"{KEY}residual_scale").set_value(0.75).run()
    assert not at.exception
    assert (linked(at).shortcut_scale, linked(at).residual_scale) == ((0.5,), (0.75,))
    assert "y = 0.75 F(x) + 0.5 s(x)" in said(at)
    again = open_page("architecture", spec=link_of(at))
    assert again.slider(key=f"{KEY}shortcut_scale").value == 0.5


def test_weights_by_stage_are_typed_in_place_of_the_slider(open_page):
    at = build(open_page, shortcut_scale=(1, 0.5, 0))
    assert at.text_input(key=f"{KEY}alphas").value == "1, 0.5, 0"
    at.text_input(key=f"{KEY}alphas").set_value("1, 0, 0").run()
    assert linked(at).shortcut_scale == (1, 0, 0)
    for typed, problem in (
        ("1, 0", "shortcut\\_scale has 2 numbers"),
        ("half", "no list of numbers"),
        ("9", "from 0 to 2"),
    ):
        at.text_input(key=f"{KEY}alphas").set_value(typed).run()
        assert problem in at.error[0].value
    assert linked(at).shortcut_scale == (1, 0, 0)
    at.text_input(key=f"{KEY}alphas").set_value("").run()
    assert linked(at).shortcut_scale == (1,)


def test_a_join_comes_with_its_setting(open_page):
    at = build(open_page)
    at.selectbox(key=f"{KEY}join").set_value("exclusive_gate").run()
    at.number_input(key=f"{KEY}gate_bias").set_value(-3.0).run()
    assert (linked(at).join, linked(at).gate_bias) == ("exclusive_gate", -3)
    at.selectbox(key=f"{KEY}join").set_value("dropout").run()
    at.number_input(key=f"{KEY}drop_rate").set_value(0.2).run()
    assert (linked(at).join, linked(at).drop_rate) == ("dropout", 0.2)
    at.selectbox(key=f"{KEY}shortcut").set_value("none").run()
    assert "a plain net has no shortcut to weigh or to gate" in at.error[0].value
    assert not at.exception


def test_a_weighed_block_is_explained(open_page):
    link = spec_to_link(VARIANTS["resnet20"].replace(name="half", shortcut_scale=0.5))
    at = open_page("architecture", spec=link, at="layer1.1.join")
    assert not at.exception
    assert r"F(x) + 0.5\,x" in " ".join(element.value for element in at.markdown)


def test_the_papers_other_shortcuts_stand_beside_the_readers_own(open_page):
    link = spec_to_link(VARIANTS["resnet110"].replace(name="half", shortcut_scale=0.5, residual_scale=0.5))
    at = open_page("architecture", spec=link, section="Published")
    table = at.dataframe[0].value
    (row,) = table[table["this net"] == "●"].itertuples()
    assert row.published == "12.35 %"
    assert set(table["published"]) >= {"6.61 %", "fail", "8.70 %", "9.81 %", "12.86 %", "6.91 %", "12.22 %"}
    assert "median of 5 runs" in said(at)
