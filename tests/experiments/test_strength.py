"""The sweep: which nets it trains, and what it makes of what they tell."""

import pytest

from resnet_lab.experiments.strength import StrengthSettings, groups, measure, report, strength_of
from resnet_lab.experiments.subjects import read_trace
from resnet_lab.figures.page import Row, Table
from resnet_lab.figures.strength import Strength, path_figure, strength_figure
from resnet_lab.models import VARIANTS
from resnet_lab.models.cifar import weighed_net
from resnet_lab.runs import RunStore
from resnet_lab.training.events import EpochEvent, Gradients, Started
from resnet_lab.training.races import differences


def test_a_sweep_differs_in_alpha_alone():
    found = groups(StrengthSettings(depths=(20, 32), scales=(1, 0.5, 0), seeds=2))
    assert [[config.spec.shortcut_scale for config in group] for group in found] == [[(1,), (0.5,), (0,)]] * 4
    assert [(group[0].seed, sum(group[0].spec.blocks)) for group in found] == [
        (0, 9),
        (0, 15),
        (1, 9),
        (1, 15),
    ]
    assert found[0][0].spec == VARIANTS["resnet20"]
    assert len({spec.name for group in found for spec in [config.spec for config in group]}) == 6
    for group in found:
        assert differences(group) == []
        assert {config.replace(variant="resnet20") for config in group} == {
            group[0].replace(variant="resnet20")
        }


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"depths": (21,)}, "depth is 21"),
        ({"scales": (3,)}, "shortcut_scale is"),
        ({"scales": ()}, "at least one"),
        ({"scales": tuple(i / 100 for i in range(61))}, "that is 61 nets"),
    ],
)
def test_a_sweep_that_cannot_be(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        groups(StrengthSettings(**fields))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (VARIANTS["resnet20"], (20, 1.0)),
        (VARIANTS["plain56"], (56, 0.0)),
        (weighed_net(32, 0.3).replace(name="mine", num_classes=5), (32, 0.3)),
        (VARIANTS["resnet20"].replace(shortcut_scale=(1, 0.5, 0)), None),
        (VARIANTS["resnet20"].replace(shortcut_scale=0.5, residual_scale=0.5), None),
        (VARIANTS["resnet20"].replace(shortcut="projection", shortcut_scale=0.5), None),
        (VARIANTS["resnet18"], None),
    ],
)
def test_whose_strength_is_known(spec, expected):
    assert strength_of(spec) == expected


def test_what_a_run_tells(tmp_path):
    """A net of 8 layers, α = 1/2: three blocks carry 1/8."""
    (config,) = groups(StrengthSettings(depths=(8,), scales=(0.5,)))[0]
    run = RunStore(tmp_path).create(config)
    trace = read_trace(run, run.name, StrengthSettings())
    layers = ("conv1", *(f"layer{s}.0.conv{c}" for s in (1, 2, 3) for c in (1, 2)))
    told = [
        Started(0, 20, 10, 100, 10, 1, "cpu", "float32", layers=layers),
        Gradients(1, 0.1, (9.0, 6.0, 1.0, 1.0, 1.0, 3.0, 1.0)),
        EpochEvent(1, 10, 1.0, 0.5, 1.0, 0.4, 3.0),
        Gradients(10, 1.0, (9.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0)),
    ]
    trace.curve.extend(told)
    (found,) = measure([trace])
    assert (found.alpha, found.depth, found.blocks, found.accuracy, found.is_tested) == (
        0.5,
        8,
        3,
        40.0,
        False,
    )
    assert found.first_over_last == (2.0, 0.25)
    assert found.identity_path == 0.125
    row, table = report([found], StrengthSettings(), False)
    assert isinstance(row, Row)
    assert "latest validation accuracy" in row.caption
    assert isinstance(table, Table)
    assert (table.rows[0]["αⁿ"], table.rows[0]["on"]) == ("0.125", "validation")


def test_the_figures_show_each_run_and_their_mean():
    runs = [
        Strength(a, 20, 9, y, True, (2.0, 1.0), "shapes")
        for a, y in ((0, 20.0), (0.5, 40.0), (0.5, 50.0), (1, 80.0))
    ]
    line, marks = strength_figure([*runs, Strength(0.25, 20, 9, None, recipe="shapes")]).data
    assert (list(line.x), list(line.y)) == ([0, 0.5, 1], [20, 45, 80])
    assert sorted(marks.y) == [20, 40, 50, 80]
    computed, first, latest = path_figure(runs).data
    assert dict(zip(computed.x, computed.y, strict=True))[0.5] == pytest.approx(0.5**9, rel=1e-3)
    assert (computed.x[0], computed.x[-1], computed.y[-1]) == (0.25, 1, 1)
    assert (list(first.y), list(latest.y)) == ([2.0] * 4, [1.0] * 4)
    other = Strength(1, 20, 9, 90.0, True, None, "cifar10")
    assert [trace.name for trace in strength_figure([*runs, other]).data if trace.name] == [
        "20 layers, cifar10",
        "20 layers, shapes",
    ]
