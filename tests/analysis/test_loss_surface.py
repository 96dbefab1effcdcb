"""The loss surface against a loop written out, and directions by hand."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from resnet_lab.analysis.loss_surface import Grid, coarse_to_fine, fold_norms, random_direction, surface
from resnet_lab.models import VARIANTS, ModelSpec, init_model
from resnet_lab.models.cifar import KINDS, cifar_net

X = torch.randn(150, 3, 8, 8, generator=torch.Generator().manual_seed(0))  # two chunks
Y = torch.randint(0, 10, (150,), generator=torch.Generator().manual_seed(1))
FAMILIES = {
    **{kind: cifar_net(8, kind) for kind in KINDS},
    "Bottleneck, deep stem": ModelSpec("b", (1, 3, 1), (1, 1), width=8, stem="deep", num_classes=10),
    "groups": VARIANTS["resnext50_32x4d"].replace(
        blocks=(1, 1), width=8, groups=4, width_per_group=16, num_classes=10
    ),
    "tutorial": VARIANTS["tutorial_resnet50"].replace(blocks=(1, 2), width=8, extra_projections=((), (1,))),
    "group norm": cifar_net(8, "A").replace(norm="group"),
    "no norm": cifar_net(8, "A").replace(norm="none"),
}


def trained(spec, seed=0):
    """With statistics, scales and shifts of its own, as after training."""
    model = init_model(spec, seed, num_classes=10).train()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        model(X[:64])
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator))
    return model.eval()


def written_out(model, directions, a, b):
    """The plain way: load the weights, evaluate."""
    moved = copy.deepcopy(model)
    state = moved.state_dict()
    for name, first in directions[0].items():
        state[name] = model.state_dict()[name] + a * first + b * directions[1][name]
    moved.load_state_dict(state)
    with torch.no_grad():
        logits = moved(X)
    return F.cross_entropy(logits, Y).item(), (logits.argmax(1) == Y).float().mean().item()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_point_is_the_loss_of_the_net_that_is_there(family):
    model = trained(FAMILIES[family])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    directions = random_direction(model, 1), random_direction(model, 2)
    for point in surface(model, X, Y, directions, [(0.0, 0.0), (0.5, -1.0)]):
        loss, share = written_out(model, directions, point.a, point.b)
        assert point.loss == pytest.approx(loss, rel=1e-3)
        assert point.accuracy == pytest.approx(share, abs=1 / 150 + 1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


@pytest.mark.parametrize("family", FAMILIES)
def test_folding_changes_nothing_but_the_layers(family):
    model = trained(FAMILIES[family])
    folded = copy.deepcopy(model).requires_grad_(False)
    scales = fold_norms(folded)
    with torch.no_grad():
        torch.testing.assert_close(folded(X), model(X), rtol=1e-3, atol=1e-4)
    norms = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    if family in ("plain", "A", "B", "C", "groups"):
        assert not norms
    assert bool(scales) == (family not in ("group norm", "no norm"))


def test_a_direction_has_the_length_of_each_filter_and_none_for_norms():
    model = trained(cifar_net(8, "B"))
    direction = random_direction(model, 3)
    assert "bn1.weight" not in direction
    assert "fc.bias" not in direction
    for name, d in direction.items():
        weight = model.get_parameter(name)
        for i in range(len(weight)):
            assert d[i].norm().item() == pytest.approx(weight[i].norm().item(), rel=1e-4)
    again = random_direction(model, 3)
    assert all(torch.equal(d, again[name]) for name, d in direction.items())
    assert not torch.equal(direction["fc.weight"], random_direction(model, 4)["fc.weight"])


def test_a_direction_by_hand():
    """One filter (3, 4) has length 5: whatever was drawn is scaled to that."""
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    drawn = torch.randn(1, 2, generator=torch.Generator().manual_seed(9))
    expected = drawn * 5 / math.hypot(*drawn[0].tolist())
    torch.testing.assert_close(random_direction(model, 9)["weight"], expected)


@pytest.mark.parametrize("count", [2, 3, 5, 11, 25])
def test_the_grid_is_filled_coarse_to_fine_each_cell_once(count):
    order = coarse_to_fine(count)
    assert sorted(order) == [(i, j) for i in range(count) for j in range(count)]
    if count == 5:
        assert set(order[:4]) == {(0, 0), (0, 4), (4, 0), (4, 4)}
        assert set(order[:9]) == {(i, j) for i in (0, 2, 4) for j in (0, 2, 4)}


def test_places_span_the_radius_and_hold_the_net_itself():
    places = Grid(11, radius=0.5).places()
    assert (0.0, 0.0) in places
    assert {min(a for a, _ in places), max(b for _, b in places)} == {-0.5, 0.5}
    line = Grid(11, is_slice=True).places()
    assert len(line) == 11
    assert all(b == 0 for _, b in line)


def test_an_overflow_is_reported_as_it_is_and_the_rest_goes_on():
    model = trained(cifar_net(8, "plain"))
    direction = {name: 1e30 * d for name, d in random_direction(model, 1).items()}
    found = list(surface(model, X, Y, (direction, direction), [(1.0, 0.0), (0.0, 0.0)]))
    assert not math.isfinite(found[0].loss)
    assert math.isfinite(found[1].loss)


def test_points_come_one_by_one_and_the_rest_can_be_left():
    model = trained(cifar_net(8, "A"))
    direction = random_direction(model, 1)
    points = surface(model, X, Y, (direction, direction), [(0.0, 0.0), (math.nan, 0.0)])
    assert math.isfinite(next(points).loss)
    points.close()
    assert not torch.is_inference_mode_enabled()


def test_half_precision_stays_near():
    model = trained(cifar_net(8, "A"))
    directions = random_direction(model, 1), random_direction(model, 2)
    places = Grid(3, radius=0.5).places()
    exact = surface(model, X, Y, directions, places)
    half = surface(model, X, Y, directions, places, torch.bfloat16)
    for a, b in zip(exact, half, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=0.03)
