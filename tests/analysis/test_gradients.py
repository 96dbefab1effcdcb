"""Gradient norms and correlations, against a loop written out and cases worked by hand."""

import pytest
import torch
from torch.nn import functional as F

from resnet_lab.analysis.gradients import (
    gradient_correlation,
    gradient_norms,
    initial_correlation,
    initial_gradients,
    neighbour_correlation,
)
from resnet_lab.data import load_dataset, normalize
from resnet_lab.models import VARIANTS, ModelSpec, init_model
from resnet_lab.models.cifar import cifar_net

SMALL = ModelSpec("small", (3, 3), (1, 1), width=4, stem="cifar", num_classes=10)


@pytest.fixture(scope="module")
def data():
    return load_dataset("shapes", limit=128)


def unchanged(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_norms_equal_a_step_written_out_and_leave_the_net_alone(data):
    model = init_model(SMALL, 3).eval()
    before, rng = unchanged(model), torch.get_rng_state()
    images = normalize(data.images[:16], data.mean, data.std)
    found = gradient_norms(model, images, data.labels[:16])
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(rng, torch.get_rng_state())
    model.train()
    F.cross_entropy(model(images), data.labels[:16]).backward()
    assert list(found) == [
        "conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2",
    ]  # fmt: skip
    for name, norm in found.items():
        expected = model.get_submodule(name).weight.grad.norm().item()
        assert norm == pytest.approx(expected, rel=1e-5)


def test_the_norm_of_one_convolution_by_hand():
    """A net of one weight: logits (w, 0), one image of class 1. d loss / d w = softmax = 1 / (1 + e^-w)."""
    spec = ModelSpec("one", (3, 3), (1,), width=1, stem="cifar", norm="none", num_classes=2, shortcut="pad")
    model = init_model(spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.conv1.weight[0, 0, 1, 1] = 0.5
        model.fc.weight[0, 0] = 1.0
    picture = torch.zeros(1, 3, 1, 1)
    picture[0, 0] = 1.0
    first = gradient_norms(model, picture, torch.tensor([1]))["conv1"]
    assert first == pytest.approx(1 / (1 + torch.e**-0.5), rel=1e-5)


def test_what_the_issue_found_at_the_start_shows_again(data):
    """BN makes gradients of a plain net grow towards the input, shortcuts keep them level; without BN they shrink."""
    plain, residual = VARIANTS["plain56"], VARIANTS["resnet56"]
    first, *_, last = initial_gradients(plain, data).values()
    assert first / last > 100
    first, *_, last = initial_gradients(residual, data).values()
    assert 1 < first / last < 100
    first, *_, last = initial_gradients(plain.replace(norm="none"), data).values()
    assert max(first, last) < 0.05


def test_correlation_of_lines_by_hand():
    ones = torch.ones(2, 5, 3)
    assert neighbour_correlation(ones) == pytest.approx(1)
    turning = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    assert neighbour_correlation(turning) == pytest.approx(0, abs=1e-6)
    flipping = torch.tensor([[[1.0], [-1.0], [1.0]]])
    assert neighbour_correlation(flipping) == pytest.approx(-1)
    noise = torch.randn(4, 100, 1000, generator=torch.Generator().manual_seed(0))
    assert abs(neighbour_correlation(noise)) < 0.01


def test_the_gradient_at_a_block_is_the_one_written_out(data):
    model = init_model(SMALL, 1)
    before = unchanged(model)
    ends = normalize(data.images[:2], data.mean, data.std)
    found = gradient_correlation(model, ends, points=4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.train()
    t = torch.linspace(0, 1, 4).view(-1, 1, 1, 1)
    x = model.stem((1 - t) * ends[0] + t * ends[1]).detach().requires_grad_()
    y = x
    for stage in model.stages:
        y = stage(y)
    logits = model.fc(model.avgpool(y).flatten(1))
    direction = torch.randn(10, generator=torch.Generator().manual_seed(0))
    (logits @ direction).sum().backward()
    g = x.grad.flatten(1)
    expected = sum(F.cosine_similarity(g[i], g[i + 1], dim=0).item() for i in range(3)) / 3
    assert next(iter(found)) == "layer1.0"
    assert found["layer1.0"] == pytest.approx(expected, abs=1e-4)


def test_gradients_of_a_plain_net_shatter_with_depth(data):
    plain, residual = (
        list(initial_correlation(cifar_net(56, kind), data).values()) for kind in ("plain", "A")
    )
    assert max(map(abs, plain)) < 0.1  # noise along the line
    assert 0.2 < residual[0] < residual[-1]  # fades slowly on the way back


def test_lines_need_two_ends(data):
    with pytest.raises(ValueError, match="two ends each"):
        gradient_correlation(init_model(SMALL), torch.zeros(3, 3, 8, 8))
