"""Weights drawn by a seed, the same on the main path whatever the shortcuts."""

import pytest
import torch

from resnet_lab.models import VARIANTS, create_model, init_model

BASE = VARIANTS["resnet20"]
KINDS = {
    "plain": {"shortcut": "none"},
    "B": {"shortcut": "projection"},
    "C": {"shortcut": "projection_all"},
    "pre-activation": {"preactivation": True},
    "pre-activation B": {"preactivation": True, "shortcut": "projection"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_nets_that_differ_in_their_shortcuts_share_the_main_path(kind):
    pad, other = init_model(BASE, seed=3), init_model(BASE.replace(**KINDS[kind]), seed=3)
    assert pad.convolutions.keys() == other.convolutions.keys()
    for name, conv in pad.convolutions.items():
        assert torch.equal(conv.weight, other.convolutions[name].weight), name
    assert torch.equal(pad.fc.weight, other.fc.weight)


def test_projections_are_drawn_by_the_seed_too():
    spec = BASE.replace(shortcut="projection")
    a, b, c = init_model(spec, 1), init_model(spec, 1), init_model(spec, 2)
    assert torch.equal(a.layer2[0].downsample[0].weight, b.layer2[0].downsample[0].weight)
    assert not torch.equal(a.layer2[0].downsample[0].weight, c.layer2[0].downsample[0].weight)


def test_a_net_without_projections_is_what_the_seed_gives_anyhow():
    model = init_model("plain20", 7, num_classes=5)
    torch.manual_seed(7)
    expected = create_model("plain20", num_classes=5).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_the_random_state_stays():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    init_model(BASE.replace(shortcut="projection"), 5)
    assert torch.equal(torch.get_rng_state(), before)
