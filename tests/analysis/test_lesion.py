"""Lesions against nets in which the block is undone by hand."""

import copy
import math

import pytest
import torch
from torch import nn

from resnet_lab.analysis.lesion import (
    Series,
    accuracy,
    blocks,
    lesioned,
    path_lengths,
    remove_each,
    remove_random,
)
from resnet_lab.models import VARIANTS, ModelSpec, draw_model
from resnet_lab.models.cifar import KINDS, cifar_net

SIDE = 8
X = torch.randn(300, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))  # two chunks
Y = torch.randint(0, 10, (300,), generator=torch.Generator().manual_seed(1))
FAMILIES = {
    **{kind: cifar_net(14, kind) for kind in KINDS},
    "Bottleneck": ModelSpec("b", (1, 3, 1), (1, 2), width=8, stem="cifar", num_classes=10),
    "tutorial": VARIANTS["tutorial_resnet50"].replace(blocks=(1, 2), width=8, extra_projections=((), (1,))),
}


def trained(spec, seed=0):
    """With running statistics of its own, as after training."""
    model = draw_model(spec, seed).train()
    with torch.no_grad():
        model(X[:64])
    return model.eval()


def test_a_removed_residual_block_is_one_whose_residual_is_zero():
    model = trained(cifar_net(14, "A"))
    by_hand = copy.deepcopy(model)
    nn.init.zeros_(by_hand.layer2[1].bn2.weight)
    nn.init.zeros_(by_hand.layer2[1].bn2.bias)
    with torch.no_grad():
        assert torch.equal(lesioned(model, ["layer2.1"])(X), by_hand(X))


@pytest.mark.parametrize("kind", ["B", "pre-activation"])
def test_a_block_that_changes_shape_leaves_its_shortcut(kind):
    model = trained(cifar_net(14, kind))
    by_hand = copy.deepcopy(model)
    block = by_hand.layer3[0]
    last = block.conv2 if kind == "pre-activation" else block.bn2
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        torch.testing.assert_close(lesioned(model, ["layer3.0"])(X), by_hand(X))


def test_a_plain_net_without_a_block_is_the_rest_of_its_layers():
    model = trained(cifar_net(14, "plain"))
    by_hand = copy.deepcopy(model)
    by_hand.layer1 = nn.Sequential(by_hand.layer1[0])
    with torch.no_grad():
        assert torch.equal(lesioned(model, ["layer1.1"])(X), by_hand(X))
        x = model.layer1(model.stem(X))
        padded = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))
        y = model.layer3(model.layer2[1](padded))
        expected = model.fc(model.avgpool(y).flatten(1))
        assert torch.equal(lesioned(model, ["layer2.0"])(X), expected)


def test_swapped_blocks_have_each_others_weights():
    model = trained(cifar_net(20, "A"))
    by_hand = copy.deepcopy(model)
    by_hand.layer1[1].load_state_dict(model.layer1[2].state_dict())
    by_hand.layer1[2].load_state_dict(model.layer1[1].state_dict())
    with torch.no_grad():
        assert torch.equal(lesioned(model, swapped=[("layer1.1", "layer1.2")])(X), by_hand(X))


@pytest.mark.parametrize("family", FAMILIES)
def test_removing_each_in_turn_is_removing_it_alone(family):
    model = trained(FAMILIES[family])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = []
    remove_each(model, X, Y, found.append)
    assert [lesion.removed[0] for lesion in found] == [place.name for place in reversed(blocks(model))]
    for lesion in found:
        assert lesion.accuracy == accuracy(lesioned(model, lesion.removed), X, Y)
        assert lesion.samples == 300
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_cancelled_series_keeps_what_it_found():
    found = []
    remove_each(trained(cifar_net(14, "A")), X, Y, found.append, lambda: len(found) == 2)
    assert len(found) == 2


def test_random_series_take_the_same_blocks_out_of_nets_of_one_depth():
    found = {kind: [] for kind in ("A", "plain")}
    for kind, told in found.items():
        remove_random(trained(cifar_net(14, kind)), X, Y, Series((1, 6), draws=2), told.append)
    assert [lesion.removed for lesion in found["A"]] == [lesion.removed for lesion in found["plain"]]
    assert [len(lesion.removed) for lesion in found["A"]] == [1, 1, 6, 6]
    sets = list(Series((3,), draws=20).sets("abcdefghij"))
    assert len(set(sets)) > 10
    assert list(sets[0]) == sorted(sets[0])


def test_accuracy_by_hand():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.eye(10)[torch.full((len(x),), 3)]

    assert accuracy(Constant(), X, Y) == pytest.approx((Y == 3).float().mean().item())


def test_paths_are_binomial():
    assert path_lengths(3) == [1, 3, 3, 1]
    assert sum(path_lengths(27)) == 2**27
    assert path_lengths(54)[27] == math.comb(54, 27)


@pytest.mark.parametrize(
    ("removed", "swapped", "says"),
    [
        (["layer9.0"], [], "no block 'layer9.0'"),
        ([], [("layer1.0", "layer2.1")], "cannot change places"),
        ([], [("layer2.0", "layer2.1")], "cannot change places"),
    ],
)
def test_what_cannot_be_done_is_said(removed, swapped, says):
    with pytest.raises(ValueError, match=says):
        lesioned(trained(cifar_net(14, "A")), removed, swapped)


def test_too_few_blocks_are_said():
    with pytest.raises(ValueError, match="7 blocks are to be removed, and the net has 6"):
        remove_random(trained(cifar_net(14, "A")), X, Y, Series((7,)), print)
