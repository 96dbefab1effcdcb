"""The check with randomised weights: what is randomised, and what similarity means."""

import copy

import pytest
import torch

from resnet_lab.attribution import attribute
from resnet_lab.experiments import sanity_checks
from resnet_lab.experiments.sanity_checks import parts_of, randomised, rank_correlation
from resnet_lab.models import VARIANTS, init_model


def test_rank_correlation_by_hand():
    first = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert rank_correlation(first, first**3).item() == pytest.approx(1)
    assert rank_correlation(first, -first).item() == pytest.approx(-1)
    # Ranks 0 1 2 3 and, with a tie, 1.5 1.5 0 3: deviations (-1.5, -.5, .5, 1.5) and (0, 0, -1.5, 1.5):
    # 1.5 / sqrt(5 * 4.5)
    tied = torch.tensor([[[5.0, 5.0], [2.0, 9.0]]])
    assert rank_correlation(first, tied).item() == pytest.approx(1.5 / 22.5**0.5)
    assert rank_correlation(first, torch.ones(1, 2, 2)).item() == 0


@pytest.mark.parametrize("variant", ["resnet20", "preact_resnet20", VARIANTS["resnet18"].replace(width=8)])
def test_parts_become_random_from_the_head_down(variant):
    model = init_model(variant, 5, 10)
    for value in model.state_dict().values():
        value.add_(1)  # so that every tensor differs from a fresh one
    before = copy.deepcopy(model.state_dict())
    changed, seen = set(), []
    for part, net in randomised(model):
        now = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert changed < now
        fresh = {name.split(".")[0] for name in now - changed}
        assert fresh == ({part} if part.startswith("layer") else fresh - {"layer1", "layer2", "layer3"})
        changed = now
        seen.append(part)
    assert seen == list(parts_of(model))
    assert changed == set(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_similarities_are_the_correlations_of_the_maps(net, images):
    found = list(sanity_checks.measure(net, images, ["grad_cam", "saliency"]))
    assert [(each.method, each.part) for each in found[:3]] == [
        ("Grad-CAM", "head"),
        ("Saliency", "head"),
        ("Grad-CAM", "layer3"),
    ]
    assert len(found) == 2 * 5
    inputs = net.inputs(images)
    classes = net.model(inputs).argmax(1)
    *_, (_, random_net) = randomised(net.model)
    expected = rank_correlation(
        attribute(net.model, inputs, classes, "saliency"), attribute(random_net, inputs, classes, "saliency")
    )
    assert found[-1].correlation.mean == pytest.approx(expected.mean().item(), abs=1e-4)


def test_maps_that_stay_are_not_trusted(net, images, monkeypatch):
    """A method that looks at the image alone, as an edge detector does."""

    def of_the_image(model, images, classes, method, on_pass=None):
        return images.abs().sum(1)

    monkeypatch.setattr(sanity_checks, "attribute", of_the_image)
    found = list(sanity_checks.measure(net, images[:2], ["saliency"]))
    assert found[-1].part == "stem"
    assert found[-1].correlation.mean == pytest.approx(1)
    assert sanity_checks.suspects(found) == ["Saliency"]
    assert "Not to be trusted here: Saliency." in sanity_checks.warning(found)
    assert sanity_checks.warning(found[:-1]) == ""
