"""Lesions against nets in which the block is undone by hand."""

import copy
import math

import pytest
import torch
from torch import nn

from resnet_lab.analysis import lesions as lesion_module
from resnet_lab.analysis.lesions import (
    Prepared,
    _batches,
    accuracy,
    coarse_first,
    lesioned,
    path_lengths,
    remove_each,
    remove_random,
)
from resnet_lab.models import VARIANTS, ModelSpec, init_model
from resnet_lab.models.cifar import KINDS, cifar_net

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 8
X = torch.randn(40, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 10, (40,), generator=torch.Generator().manual_seed(1))
FAMILIES = {
    **{kind: cifar_net(14, kind) for kind in KINDS},
    "Bottleneck": ModelSpec("b", (1, 3, 1), (1, 2), width=8, stem="cifar", num_classes=10),
    "tutorial": VARIANTS["tutorial_resnet50"].replace(blocks=(1, 2), width=8, extra_projections=((), (1,))),
    "identity on a stem without ReLU": ModelSpec(
        "i", (3, 3), (2, 1), width=8, stem="tutorial", num_classes=10
    ),
}


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize(
    ("join", "carried"), [("sum", 0.5), ("exclusive_gate", None), ("stochastic_depth", 0.5)]
)
def test_a_removed_block_leaves_what_its_join_makes_of_the_shortcut(join, carried, preactivation):
    spec = FAMILIES["B"].replace(join=join, shortcut_scale=0.5, preactivation=preactivation, gate_bias=0)
    model = init_model(spec, 0).eval()
    block, x = model.layer2[0], torch.randn(2, 16, 4, 4)
    left = lesioned(model, ["layer2.0"]).layer2[0](x)
    shortcut = block.downsample(block.relu1(block.bn1(x)) if preactivation else x)
    if carried is None:
        carried = 0.5 * (1 - torch.sigmoid(block.join.gate(x)))
    expected = carried * shortcut if preactivation else torch.relu(carried * shortcut)
    torch.testing.assert_close(left, expected)


@pytest.mark.parametrize("option", ["A", "B"])
def test_a_block_whose_shortcut_is_cut_leaves_what_a_plain_one_does(option):
    cut = init_model(FAMILIES[option].replace(shortcut_scale=0), 0).eval()
    plain = init_model(FAMILIES["plain"], 0).eval()
    for removed in (["layer1.1"], ["layer2.0"]):
        assert torch.equal(lesioned(cut, removed)(X), lesioned(plain, removed)(X))


@pytest.fixture(autouse=True)
def _two_chunks(monkeypatch):
    monkeypatch.setattr(lesion_module, "CPU_PIXELS", 30 * SIDE**2)


def as_the_lab_does(model):
    """In the lab's memory format, by which the last bits are the same."""
    return model.to(memory_format=torch.channels_last)


def trained(spec, seed=0):
    """With running statistics of its own, as after training."""
    model = init_model(spec, seed).train()
    with torch.no_grad():
        model(X[:30])
    return model.eval()


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "plain"])
def test_a_removed_residual_block_is_one_whose_residual_is_zero(family):
    model = trained(FAMILIES[family])
    for place in model.spec.block_shapes():
        by_hand = copy.deepcopy(model)
        block = by_hand.get_submodule(place.name)
        last = "conv" if model.spec.preactivation else "bn"
        last = block.get_submodule(f"{last}{len(model.spec.block)}")
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            assert torch.equal(lesioned(model, [place.name])(X), as_the_lab_does(by_hand)(X))


def test_a_plain_net_without_a_block_is_the_rest_of_its_layers():
    model = trained(cifar_net(14, "plain"))
    by_hand = copy.deepcopy(model)
    by_hand.layer1 = nn.Sequential(by_hand.layer1[0])
    with torch.no_grad():
        assert torch.equal(lesioned(model, ["layer1.1"])(X), as_the_lab_does(by_hand)(X))
        model = as_the_lab_does(model)
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
        assert torch.equal(
            lesioned(model, swapped=[("layer1.1", "layer1.2")])(X), as_the_lab_does(by_hand)(X)
        )


@pytest.mark.parametrize(
    ("family", "budget"), [*((family, 10**6) for family in FAMILIES), ("A", 0), ("A", 2 * 10**5)]
)
def test_a_lesion_from_kept_inputs_is_the_lesioned_net_to_the_last_bit(family, budget):
    model = trained(FAMILIES[family])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepared = Prepared(model, X, Y, budget)
    names = [place.name for place in model.spec.block_shapes()]
    with torch.no_grad():
        for removed in [
            [],
            *([name] for name in names),
            [names[0], names[-1]],
            [names[-1], names[0], names[-1]],
        ]:
            alone = lesioned(model, removed)
            expected = torch.cat([alone(x) for x in _batches(X)])
            assert torch.equal(prepared.logits(removed), expected), removed
    assert prepared.kept_bytes <= budget
    assert bool(prepared.kept_bytes) == bool(budget)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training is False


def test_swapped_blocks_from_kept_inputs():
    model, pairs = trained(cifar_net(20, "A")), [("layer1.1", "layer1.2"), ("layer3.1", "layer3.2")]
    for swapped in (pairs[:1], pairs[1:], pairs):
        with torch.no_grad():
            expected = torch.cat([lesioned(model, swapped=swapped)(x) for x in _batches(X)])
        assert torch.equal(Prepared(model, X, Y).logits(swapped=swapped), expected)


def test_each_block_in_turn_from_the_last_to_the_first():
    model = trained(cifar_net(14, "A"))
    found = list(remove_each(Prepared(model, X, Y)))
    assert [lesion.removed for lesion in found] == [
        (place.name,) for place in reversed(model.spec.block_shapes())
    ]
    for lesion in found:
        with torch.no_grad():
            right = lesioned(model, lesion.removed)(X).argmax(1) == Y
        assert lesion.accuracy == right.sum().item() / 40
        assert lesion.samples == 40


def test_a_lesion_tells_of_what_net_it_is_and_whether_the_shape_changed():
    prepared = Prepared(trained(cifar_net(14, "plain")), X, Y, name="mine")
    assert (prepared.whole.net, prepared.whole.plain, prepared.whole.removed) == ("mine", True, ())
    changing = {place.name for place in prepared.places if place.changes_shape}
    assert (
        {r.removed[0] for r in remove_each(prepared) if r.changes_shape}
        == changing
        == {"layer2.0", "layer3.0"}
    )
    assert prepared.without(("layer1.0", "layer2.0")).changes_shape


@pytest.mark.parametrize("n", [1, 2, 3, 9, 27, 54])
def test_numbers_of_blocks_come_coarse_first(n):
    counts = coarse_first(n)
    assert sorted(counts) == list(range(1, n + 1))
    assert max(counts[: min(4, n)]) >= n / 2


def test_the_tutorial_stem_has_no_relu_so_the_block_behind_it_keeps_its_own():
    spec = ModelSpec("t", (3, 3), (2, 1), width=8, stem="tutorial", num_classes=10)
    model = trained(spec)
    by_hand = copy.deepcopy(model)
    for parameter in by_hand.layer1[0].bn2.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        assert model.stem(X).min() < 0
        assert torch.equal(lesioned(model, ["layer1.0"])(X), by_hand(X))


def test_random_series_take_the_same_blocks_out_of_nets_of_one_depth():
    found = {
        kind: list(remove_random(Prepared(trained(cifar_net(14, kind)), X, Y), (1, 6), draws=2))
        for kind in ("A", "plain")
    }
    assert [lesion.removed for lesion in found["A"]] == [lesion.removed for lesion in found["plain"]]
    assert [len(lesion.removed) for lesion in found["A"]] == [1, 1, 6, 6]
    model = trained(cifar_net(14, "A"))
    for lesion in found["A"]:
        assert lesion.accuracy == accuracy(lesioned(model, lesion.removed), X, Y)
    sets = [
        lesion.removed
        for lesion in remove_random(Prepared(trained(cifar_net(20, "A")), X, Y), (3,), draws=20)
    ]
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
        list(remove_random(Prepared(trained(cifar_net(14, "A")), X, Y), (7,)))
