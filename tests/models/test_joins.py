"""Weighted, gated and random shortcuts: against the plain twin, the papers' formulas and sums done by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from resnet_lab.models import VARIANTS, ModelSpec, ResNet, create_model, init_model
from resnet_lab.models.joins import ExclusiveGate, ShortcutDropout, ShortcutGate, StochasticDepth, WeightedSum
from resnet_lab.models.spec import PLAIN

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"blocks": (1, 2), "width": 8, "stem": "cifar", "num_classes": 5}
BOTTLENECK = (1, 3, 1)
FAMILIES = {
    "basic": {"block": (3, 3)},
    "bottleneck": {"block": BOTTLENECK},
    "wide block": {"block": (3, 1, 3)},
    "wide bottleneck": {"block": BOTTLENECK, "width_per_group": 128},
    "groups": {"block": BOTTLENECK, "groups": 4, "width_per_group": 32},
    "dilation": {"block": BOTTLENECK, "dilation": (True,)},
    "pre-activation": {"preactivation": True},
    "pre-activation bottleneck": {"preactivation": True, "block": BOTTLENECK},
    "group norm": {"norm": "group"},
    "no norm": {"norm": "none", "conv_bias": True},
}
OPTIONS = ("pad", "projection", "projection_all")
EVERY = [(family, option) for family in FAMILIES for option in OPTIONS]
SUMS = [("sum", WeightedSum), ("exclusive_gate", ExclusiveGate), ("shortcut_gate", ShortcutGate),
        ("dropout", ShortcutDropout), ("stochastic_depth", StochasticDepth)]  # fmt: skip


def small(family="basic", option="pad", **fields):
    return ModelSpec(**{**SMALL, **FAMILIES[family], "shortcut": option, **fields})


def gradients(model, x):
    """Logits of a training step and what it leaves in the parameters."""
    logits = model.train()(x)
    F.cross_entropy(logits, torch.arange(len(x)) % 5).backward()
    return logits, {name: p.grad for name, p in model.named_parameters()}


def images(count=4):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("family", "option"), EVERY)
def test_alpha_0_is_the_plain_net(family, option):
    """In train mode, then in eval mode with the statistics that this left."""
    model = init_model(small(family, option, shortcut_scale=0), seed=3)
    plain = ResNet(model.spec.replace(**PLAIN))
    plain.load_state_dict({key: model.state_dict()[key] for key in plain.state_dict()})
    for mode in (True, False):
        expected = plain.train(mode)(images())
        assert expected.std() > 0
        assert torch.equal(model.train(mode)(images()), expected)


@pytest.mark.parametrize(("family", "option"), EVERY)
def test_alpha_1_is_the_residual_net_to_the_last_bit(family, option):
    """Its parts are those of before, and a sum whose α was moved and put back computes the same."""
    spec = small(family, option)
    assert spec.replace(shortcut_scale=(1, 1), residual_scale=1) == spec
    model = init_model(spec, seed=3)
    moved = copy.deepcopy(model)
    assert moved.set_shortcut_scale(0.3)
    assert not torch.equal(moved.eval()(images()), model.eval()(images()))
    assert not moved.set_shortcut_scale(1)
    assert moved.spec == spec
    logits, expected = gradients(model, images())
    got, its = gradients(moved, images())
    assert torch.equal(got, logits)
    assert its.keys() == expected.keys()
    assert all(torch.equal(its[name], expected[name]) for name in its)


@pytest.mark.parametrize("join", [name for name, _ in SUMS])
def test_the_main_path_is_drawn_as_before(join):
    plain = init_model(VARIANTS["plain20"], seed=5)
    model = init_model(VARIANTS["resnet20"].replace(join=join, shortcut_scale=0.5), seed=5)
    assert plain.convolutions.keys() == model.convolutions.keys()
    for name, conv in plain.convolutions.items():
        assert torch.equal(conv.weight, model.convolutions[name].weight)
    assert torch.equal(plain.fc.weight, model.fc.weight)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_block_is_the_weighted_sum(option):
    model = create_model(small(option=option, shortcut_scale=0.25, residual_scale=0.75)).eval()
    block, x = model.layer2[0], torch.randn(2, 8, 6, 6)
    residual = block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x)))))
    expected = torch.relu(0.75 * residual + 0.25 * block.downsample(x))
    torch.testing.assert_close(block(x), expected)


def test_gradients_by_hand():
    """y = β F + α s with β = 1/4, α = 1/2; dL/dy = (1, 10)."""
    join = WeightedSum(0.5, 0.25, learned=True)
    residual, shortcut = torch.tensor([1.0, 2.0]).requires_grad_(), torch.tensor([3.0, -1.0]).requires_grad_()
    del join.shortcut_scale
    join.shortcut_scale = nn.Parameter(torch.tensor(0.5))
    y = join(residual, shortcut)
    assert y.tolist() == [0.25 + 1.5, 0.5 - 0.5]
    y.backward(torch.tensor([1.0, 10.0]))
    assert join.residual_scale.grad.item() == 1 * 1 + 10 * 2
    assert join.shortcut_scale.grad.item() == 1 * 3 + 10 * -1
    assert residual.grad.tolist() == [0.25, 2.5]
    assert shortcut.grad.tolist() == [0.5, 5.0]


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_the_identity_path_carries_alpha_to_the_n(alpha):
    """He et al. 2016, Eq. 7 and 8, where each F is 0: both ways, powers of two exactly."""
    spec = ModelSpec(**{**SMALL, "blocks": (6,)}, preactivation=True, shortcut_scale=alpha)
    model = create_model(spec).double()
    for block in model.layer1:
        nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    y = model.layer1(x)
    assert torch.equal(y, alpha**6 * x)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, alpha**6))


@pytest.mark.parametrize(("kind", "residual_too"), [(ExclusiveGate, True), (ShortcutGate, False)])
def test_gates_are_the_papers_formula(kind, residual_too):
    """He et al. 2016, Sec. 3.1: g(x) = σ(W_g x + b_g), pixel by pixel."""
    gate = kind(2, 3, stride=2, gate_bias=-1.5)
    x, residual, shortcut = torch.randn(1, 2, 4, 4), torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    weight = gate.gate.weight[:, :, 0, 0]
    assert gate.gate.bias.tolist() == [-1.5] * 3
    y = gate(residual, shortcut, x)
    for i in range(2):
        for j in range(2):
            g = 1 / (1 + torch.exp(-(weight @ x[0, :, 2 * i, 2 * j] - 1.5)))
            f, s = residual[0, :, i, j], shortcut[0, :, i, j]
            torch.testing.assert_close(y[0, :, i, j], (g * f if residual_too else f) + (1 - g) * s)


@pytest.mark.parametrize("family", ["basic", "pre-activation"])
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("join", ["exclusive_gate", "shortcut_gate"])
def test_a_gate_stands_on_every_shortcut(family, option, join):
    """One that lets all pass is a net without gates; a padded shortcut is multiplied with its zeros."""
    model = init_model(small(family, option, join=join, gate_bias=-20), seed=1)
    open_ = init_model(small(family, option), seed=1)
    if join == "exclusive_gate":  # F is shut
        open_ = init_model(small(family, option, residual_scale=0), seed=1)
    gates = [module for module in model.modules() if isinstance(module, ShortcutGate)]
    assert len(gates) == 3
    for gate in gates:
        nn.init.zeros_(gate.gate.weight)
    state = model.state_dict()
    open_.load_state_dict({key: state[key] for key in open_.state_dict()})
    torch.testing.assert_close(model(images()), open_(images()), atol=1e-5, rtol=1e-5)
    gradients(model, images())
    assert all(gate.gate.weight.grad.abs().sum() > 0 for gate in gates)


def test_dropout_drops_values_of_the_shortcut_alone():
    join = ShortcutDropout(0.25)
    residual, shortcut = torch.full((8, 4, 16, 16), 5.0), torch.full((8, 4, 16, 16), 3.0)
    carried = join(residual, shortcut, shortcut) - 5
    assert {round(v, 4) for v in carried.unique().tolist()} == {0.0, 4.0}  # 3 / (1 − 1/4)
    assert (carried == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(join.eval()(residual, shortcut, shortcut), residual + shortcut)


def test_stochastic_depth_leaves_whole_blocks_out():
    spec = VARIANTS["resnet20"].replace(join="stochastic_depth", drop_rate=0.45)
    rates = [block.join.drop_rate for stage in create_model(spec).stages for block in stage]
    assert rates == pytest.approx([0.05 * i for i in range(1, 10)])  # Huang et al. 2016, Sec. 3: linear decay
    join, residual, shortcut = StochasticDepth(0.25), torch.full((3, 2, 4, 4), 8.0), torch.ones(3, 2, 4, 4)
    seen = [join(residual, shortcut, shortcut) for _ in range(400)]
    assert {y.unique().item() for y in seen} == {1.0, 9.0}
    assert sum(y[0, 0, 0, 0].item() == 1 for y in seen) / 400 == pytest.approx(0.25, abs=0.07)
    assert torch.equal(join.eval()(residual, shortcut, shortcut), 0.75 * residual + shortcut)


@pytest.mark.parametrize("join", ["dropout", "stochastic_depth"])
def test_chance_follows_from_the_seed_and_leaves_torchs_alone(join):
    model, before = init_model(small(join=join), 1).train(), torch.get_rng_state()

    def step(seed):
        model.seed_joins(seed)
        return torch.stack([model(images()) for _ in range(6)])

    first, again, other = step(7), step(7), step(8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not all(torch.equal(first[0], later) for later in first)  # micro-batches of one step
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, (0.25, 0.25, 0.25)),
        ({"stage": 1}, (0.25, 1.0, 1.0)),
        ({"stage": 2}, (1.0, 0.25, 0.25)),
        ({"stage": 2, "block": 1}, (1.0, 1.0, 0.25)),
    ],
)
def test_a_net_is_changed_in_place(place, expected):
    spec = small()
    model = init_model(spec, 1).eval()
    keys, numbers = list(model.state_dict()), sum(p.numel() for p in model.parameters())
    assert model.set_shortcut_scale(0.5, **place)  # numbers become buffers
    buffers = [buffer.data_ptr() for buffer in model.buffers()]
    assert not model.set_shortcut_scale(0.25, **place)  # which are filled
    assert [buffer.data_ptr() for buffer in model.buffers()] == buffers
    assert [shape.shortcut_scale for shape in model.spec.block_shapes()] == list(expected)
    assert (list(model.state_dict()), sum(p.numel() for p in model.parameters())) == (keys, numbers)
    built = init_model(spec.replace(shortcut_scale=expected), 1).eval()
    assert torch.equal(model(images()), built(images()))
    assert torch.equal(copy.deepcopy(model)(images()), built(images()))


@pytest.mark.parametrize(
    ("spec", "arguments", "sentence"),
    [
        (small(), (0.5, 3), "there is no block None of stage 3"),
        (small(), (0.5, 2, 2), r"there is no block 2 of stage 2; the stages have \(1, 2\)"),
        (small(), (0.5, None, 0), "there is no block 0 of stage None"),
        (small(), (float("nan"),), "shortcut_scale is .* each a number from 0 to 2"),
        (small(), (2.5,), "shortcut_scale is .* each a number from 0 to 2"),
        (small(option="none"), (0.5,), "a plain net has no shortcut"),
    ],
)
def test_a_change_that_cannot_be(spec, arguments, sentence):
    model = ResNet(spec)
    with pytest.raises(ValueError, match=sentence):
        model.set_shortcut_scale(*arguments)
    assert model.spec == spec
    assert all(block.join is None for stage in model.stages for block in stage)


def test_scales_are_kept_in_their_shortest_form():
    spec = VARIANTS["resnet20"]
    for form in (0.5, (0.5,), (0.5,) * 3, (0.5,) * 9):
        assert spec.replace(shortcut_scale=form).shortcut_scale == (0.5,)
    by_block = (1.0,) * 3 + (0.5,) * 3 + (0.0,) * 3
    assert spec.replace(shortcut_scale=by_block).shortcut_scale == (1.0, 0.5, 0.0)
    assert [
        shape.shortcut_scale for shape in spec.replace(shortcut_scale=(1, 0.5, 0)).block_shapes()
    ] == list(by_block)
    assert spec.replace(residual_scale=(*by_block[:8], 0.25)).residual_scale == (*by_block[:8], 0.25)


def test_rezero_starts_as_the_identity():
    """Bachlechner et al. 2021, Eq. 3: β learned from 0; the block's F gets its first gradient through β alone."""
    model = create_model(small("pre-activation", learned_scale=True, residual_scale=0))
    block, x = model.layer2[1], torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.join.residual_scale.grad != 0
    assert not block.conv2.weight.grad.any()


def test_a_compiled_net_is_compiled_once_more_for_the_first_change_alone():
    from torch._dynamo.testing import CompileCounter  # here, as it takes a while

    model, counter = init_model(small(), 1).eval(), CompileCounter()
    compiled = torch.compile(model, backend=counter)
    seen = []
    for scale in (1, 0.5, 0.25, 0, 1, 0.7):
        model.set_shortcut_scale(scale)
        assert torch.equal(compiled(images()), model(images()))
        seen.append(counter.frame_count)
    assert seen == [1, 2, 2, 2, 2, 2]
