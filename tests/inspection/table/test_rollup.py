"""The table from further away adds up to the table."""

import pytest
import torchvision

from resnet_lab.inspection import by_stage, layer_table, neighbours
from resnet_lab.inspection.table.rollup import SUMMED, rollup
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size, get_spec


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("depth", ["stages", "blocks", "layers"])
def test_sums_do_not_depend_on_the_depth(name, depth):
    side = default_input_size(name)
    table = layer_table(name, (3, side, side))
    rows = rollup(table, depth)
    for quantity in SUMMED:
        assert sum(getattr(row, quantity) for row in rows) == sum(
            getattr(row, quantity) for row in table.rows
        )
    assert len({row.key for row in rows}) == len(rows)


def test_stages_of_resnet50():
    rows = {row.path: row for row in rollup(layer_table("resnet50"), "stages")}
    assert list(rows) == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert (rows["layer3"].type, rows["layer3"].output_shape) == ("6 blocks", (1024, 14, 14))
    assert rows["layer3"].params == 7_098_368  # counted by hand: 1,512,448 + 5 · 1,117,184
    assert rows["layer4"].receptive_field == (427, 427)


def test_blocks_name_their_kernels():
    rows = rollup(layer_table("resnet50"), "blocks")
    assert len(rows) == 16 + 2
    assert (rows[1].path, rows[1].type) == ("layer1.0", "1×1, 3×3, 1×1")


def test_any_module_by_its_paths():
    rows = rollup(layer_table(torchvision.models.squeezenet1_0()), "stages")
    assert [row.path for row in rows] == ["features", "classifier"]
    assert "features.3" in {
        row.path for row in rollup(layer_table(torchvision.models.squeezenet1_0()), "blocks")
    }


def test_unknown_depth():
    with pytest.raises(ValueError, match="depth is 'nets'; it may be stages, blocks, layers"):
        rollup(layer_table("resnet20", (3, 32, 32)), "nets")


def test_side_by_side_every_stage_has_its_line():
    tables = [layer_table(name, (3, 32, 32)) for name in ("resnet50", "resnet20")]
    parts = by_stage(tables)
    assert [part.path for part in parts] == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert parts[4].rows[1] is None  # resnet20 has three stages
    assert sum(part.rows[0].params for part in parts) == tables[0].total_params


def test_neighbours_differ_in_one_idea():
    names = list(neighbours(get_spec("resnet34")))
    assert names == ["plain34", "resnet34 option A", "resnet34 option C", "resnet50"]
    assert {"plain50", "resnet34", "resnext50_32x4d", "wide_resnet50_2"} <= set(
        neighbours(get_spec("resnet50"))
    )
    assert next(iter(neighbours(get_spec("plain20")))) == "resnet20"
    assert neighbours(get_spec("resnet50").replace(num_classes=7))["wide_resnet50_2"].num_classes == 7


def test_options_a_b_c_cost_what_the_paper_says():
    spec = get_spec("resnet34")
    near = neighbours(spec)
    params = {
        "A": layer_table(near["resnet34 option A"]).total_params,
        "B": layer_table(spec).total_params,
        "C": layer_table(near["resnet34 option C"]).total_params,
    }
    projections = 64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512)
    assert params["B"] - params["A"] == projections
    more = 3 * (64 * 64 + 128) + 3 * (128 * 128 + 256) + 5 * (256 * 256 + 512) + 2 * (512 * 512 + 1024)
    assert params["C"] - params["B"] == more


def test_basic_and_bottleneck_cost_about_the_same():
    """He et al. 2015, Sec. 4.1: 3.6 against 3.8 GFLOPs; a Bottleneck of torchvision has 4.1."""
    basic, bottleneck = (layer_table(name).total_macs for name in ("resnet34", "resnet50"))
    assert 1 < bottleneck / basic < 1.15


def test_a_dilated_net_has_no_neighbour_of_basic_blocks():
    spec = ModelSpec(block=(1, 3, 1), dilation=(False, True, True))
    assert not any("Basic" in name for name in neighbours(spec))
