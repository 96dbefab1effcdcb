"""Scripts that were written for an earlier version: what they import is still there, and is the same thing."""

import torch

from resnet_lab.data import load_dataset
from resnet_lab.models import draw_model, init_model
from resnet_lab.models.classifier import EvalTransform
from resnet_lab.runs.model import read_checkpoint, read_first
from resnet_lab.training.evaluation import Sight, evaluate


def test_a_net_is_drawn_under_the_former_name():
    old, new = draw_model("resnet20", 3).state_dict(), init_model("resnet20", 3).state_dict()
    assert all(torch.equal(old[name], new[name]) for name in new)


def test_a_net_is_evaluated_under_the_former_names():
    net, data = init_model("resnet20", num_classes=10), load_dataset("shapes", split="test", limit=20)
    old, new = evaluate(net, data, sight=Sight(20)), evaluate(net, data, transform=EvalTransform(20))
    assert old == new != evaluate(net, data)


def test_a_checkpoint_is_read_under_the_former_name(trained):
    path = trained.path / "best.pt"
    assert read_checkpoint(path)["step"] == read_first([path])[0]["step"] > 0
