"""Layer responses against hooks written out, and by hand."""

import pytest
import torch

from resnet_lab.analysis.responses import layer_responses
from resnet_lab.models import VARIANTS, ModelSpec, create_model, init_model

SMALL = ModelSpec("small", (3, 3), (1, 1), width=4, stem="cifar", num_classes=10)


def test_a_response_is_the_output_of_the_norm_before_relu_and_addition():
    model = init_model(SMALL, 2).train()
    model(
        torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    )  # running statistics of its own
    model.eval()
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    found = layer_responses(model, x)
    with torch.no_grad():
        stem = model.bn1(model.conv1(x))
        block = model.layer1[0]
        inner = block.bn1(block.conv1(stem.relu()))
        outer = block.bn2(block.conv2(inner.relu()))
    assert found["conv1"] == pytest.approx(stem.std(correction=0).item(), rel=1e-5)
    assert found["layer1.0.conv1"] == pytest.approx(inner.std(correction=0).item(), rel=1e-5)
    assert found["layer1.0.conv2"] == pytest.approx(outer.std(correction=0).item(), rel=1e-5)
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_by_hand_without_a_norm():
    """One 1×1-like weight of 3 on pixels 0 and 2: outputs 0 and 6, standard deviation 3."""
    spec = ModelSpec("one", (3, 3), (1,), width=1, stem="cifar", norm="none", num_classes=2, shortcut="pad")
    model = init_model(spec)
    with torch.no_grad():
        model.conv1.weight.zero_()
        model.conv1.weight[0, 0, 1, 1] = 3.0
    x = torch.zeros(1, 3, 1, 2)
    x[0, 0, 0, 1] = 2.0
    assert layer_responses(model, x)["conv1"] == pytest.approx(3.0)


@pytest.mark.parametrize("name", ["preact_resnet20", "plain20", "resnext50_32x4d", "tutorial_resnet50"])
def test_every_family_answers(name):
    model = create_model(VARIANTS[name], num_classes=3)
    found = layer_responses(model, torch.randn(2, 3, 32, 32))
    assert list(found) == list(model.convolutions)
    assert all(std >= 0 for std in found.values())
