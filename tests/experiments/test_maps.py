"""Localization scores, sanity checks, deletion and insertion of a net: what is measured, and in which order."""

import pytest
import torch

from resnet_lab.attribution import METHODS, attribute, pointing_hits
from resnet_lab.attribution.deletion_insertion import deletion_insertion as probabilities
from resnet_lab.attribution.sanity_checks import randomised, rank_correlation
from resnet_lab.experiments import deletion_insertion, localization, sanity_checks
from resnet_lab.models import init_model
from resnet_lab.models.classifier import Classifier

IMAGES = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net():
    model = init_model("resnet20", 0, 10).eval()
    return Classifier(model, tuple("abcdefghij"), 16, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


def test_scores_of_methods_and_layers_then_the_baselines(net):
    masks, passes = torch.rand(6, 16, 16) > 0.5, []
    assert localization.pairs(net, ["saliency", "grad_cam"])[:2] == [("saliency", ""), ("grad_cam", "layer1")]
    asked = [("grad_cam", "layer2"), ("saliency", "")]
    found = list(localization.measure(net, IMAGES, masks, asked, lambda: passes.append(1)))
    titles = [score.title for score in found]
    assert titles == ["Grad-CAM, stage 2", "Saliency", "Random", "Centre"]
    assert [score.is_baseline for score in found] == [False, False, True, True]
    maps = attribute(net.model, net.inputs(IMAGES), layer="layer2")
    assert found[0].pointing.mean == pointing_hits(maps, masks).double().mean().item()
    assert all(score.count == 6 for score in found)
    assert len(passes) == 3  # saliency asks for the predicted class first


def test_similarities_are_the_correlations_of_the_maps(net):
    found = list(sanity_checks.measure(net, IMAGES, ["grad_cam", "saliency"]))
    assert [(each.method, each.part) for each in found[:3]] == [
        ("Grad-CAM", "head"),
        ("Saliency", "head"),
        ("Grad-CAM", "layer3"),
    ]
    assert len(found) == 2 * 5
    inputs = net.inputs(IMAGES)
    classes = net.model(inputs).argmax(1)
    *_, (_, random_net) = randomised(net.model)
    expected = rank_correlation(
        attribute(net.model, inputs, classes, "saliency"), attribute(random_net, inputs, classes, "saliency")
    )
    assert found[-1].correlation.mean == pytest.approx(expected.mean().item(), abs=1e-4)


def test_maps_that_stay_are_not_trusted(net, monkeypatch):
    """A method that looks at the image alone, as an edge detector does."""

    def of_the_image(model, images, classes, method, on_pass=None):
        return images.abs().sum(1)

    monkeypatch.setattr(sanity_checks, "attribute", of_the_image)
    found = list(sanity_checks.measure(net, IMAGES[:2], ["saliency"]))
    assert found[-1].part == "stem"
    assert found[-1].correlation.mean == pytest.approx(1)
    assert sanity_checks.suspects(found) == ["Saliency"]
    assert "Not to be trusted here: Saliency." in sanity_checks.warning(found)
    assert sanity_checks.warning(found[:-1]) == ""


def test_curves_of_the_map_then_of_random_orders(net):
    heat = torch.rand(16, 16)
    found = list(deletion_insertion.measure(net, IMAGES[0], heat, 3, METHODS["saliency"].title))
    assert len(found) == deletion_insertion.CURVES
    assert [(c.kind, c.order, c.is_random) for c in found[:3]] == [
        ("deletion", "Saliency", False),
        ("insertion", "Saliency", False),
        ("deletion", "random order", True),
    ]
    deletion, insertion = probabilities(net.model, net.inputs(IMAGES[:1]), heat[None], torch.tensor([3]))
    assert found[0].probabilities == tuple(deletion[0].tolist())
    assert found[1].probabilities == tuple(insertion[0].tolist())
    assert deletion_insertion.chart(found[:1], "insertion") is None
