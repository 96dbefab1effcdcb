import pytest
import torch

from resnet_lab.models import init_model
from resnet_lab.models.classifier import Classifier


@pytest.fixture
def net():
    model = init_model("resnet20", 0, 10).eval()
    return Classifier(model, tuple("abcdefghij"), 16, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


@pytest.fixture
def images():
    """uint8 (6, 3, 16, 16)"""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=generator)
