"""Who races whom, and whether it is fair."""

import pytest

from resnet_lab.models import VARIANTS
from resnet_lab.models.cifar import DEPTHS, KINDS, cifar_net, family
from resnet_lab.training import TrainConfig
from resnet_lab.training.races import differences, race

WEIGHED = (
    {"shortcut": "pad", "shortcut_scale": 0.5, "residual_scale": 0.5},
    {"shortcut": "pad", "join": "exclusive_gate", "gate_bias": 0},
)


def test_the_kinds_of_a_depth_and_seed_take_turns_on_one_recipe():
    groups = race([20, 56], ["plain", "A"], seeds=[0, 1, 2])
    assert [[c.spec.name for c in group] for group in groups[:2]] == [
        ["plain20", "resnet20"],
        ["plain56", "resnet56"],
    ]
    assert [group[0].seed for group in groups] == [0, 0, 1, 1, 2, 2]
    flat = [config.replace(variant="resnet20", seed=0) for group in groups for config in group]
    assert set(flat) == {flat[0]}
    assert flat[0].lr == 0.03  # that of the deepest
    assert flat[0].precision == "float32"
    assert differences(groups[0]) == []
    (config, *_) = groups[0]
    weighed = [config.replace(variant=config.spec.replace(**fields)) for fields in WEIGHED]
    assert differences([config, *weighed]) == []  # shortcuts too


@pytest.mark.parametrize(
    ("depths", "kinds", "says"),
    [
        ([21], ["A"], "depth is 21; it may be 6n + 2"),
        ([2], ["A"], "depth is 2"),
        ([20], ["D"], "shortcuts is 'D'; it may be plain, A, B, C, pre-activation"),
        ([], ["A"], "at least one depth"),
        (
            [20, 26, 32, 38, 44, 50, 56, 62, 68, 74, 80, 86, 92],
            list(KINDS),
            "65 nets; a race may have up to 60",
        ),
    ],
)
def test_what_cannot_race_is_said(depths, kinds, says):
    with pytest.raises(ValueError, match=says.replace("+", r"\+")):
        race(depths, kinds)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_race_differs_in_the_shortcut_alone(depth):
    [[residual, plain]] = race([depth], ["A", "plain"], seeds=[3])
    assert residual.replace(variant=plain.variant) == plain
    assert residual.spec.replace(name=plain.spec.name, shortcut="none") == plain.spec


def test_named_variants_are_used_and_every_net_is_recognised():
    assert cifar_net(56, "plain") is VARIANTS["plain56"]
    for depth in (8, *DEPTHS):
        for kind in KINDS:
            assert family(cifar_net(depth, kind)) == (depth, kind)
    assert family(VARIANTS["resnet50"]) is None
    assert family(VARIANTS["preact_resnet164"]) is None
    assert family(cifar_net(20, "B").replace(name="mine", num_classes=100)) == (20, "B")
    assert family(cifar_net(20, "A").replace(width=32)) is None


def test_option_b_has_the_parameters_of_the_reference():
    from resnet_lab.models import create_model

    a, b = (sum(p.numel() for p in create_model(cifar_net(32, kind)).parameters()) for kind in "AB")
    assert (a, b - a) == (464_154, 2_752)


def test_every_other_difference_is_listed():
    base = TrainConfig("resnet20")
    others = [base.replace(variant="plain32"), base.replace(variant="plain20", lr=0.5, seed=1)]
    assert differences([base, *others]) == [
        f"lr: {base.lr}, 0.5",
        "seed: 0, 1",
        "blocks: (3, 3, 3), (5, 5, 5)",
    ]
