"""Class activation maps by hand, against Captum, and against the packages grad-cam and torchcam."""

import pytest
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch.nn import functional as F
from torchcam import methods as torchcam
from torchvision.models import resnet18

from resnet_lab.attribution import METHODS, attribute, class_maps, stage_names
from resnet_lab.attribution.methods import grad_cam, grad_cam_plus_plus, layer_cam
from resnet_lab.models import init_model

CAMS = [name for name, method in METHODS.items() if method.combine]
THEIRS = {"grad_cam": GradCAM, "grad_cam_plus_plus": GradCAMPlusPlus, "layer_cam": LayerCAM}
# One feature map with gradients 1, 2, and one with 0, -1.
FEATURES = torch.tensor([[[[3.0, 1.0]], [[2.0, 4.0]]]])
GRADIENTS = torch.tensor([[[[1.0, 2.0]], [[0.0, -1.0]]]])


def test_grad_cam_by_hand():
    # Mean gradients 1.5 and -0.5: 1.5 * [3, 1] - 0.5 * [2, 4].
    assert grad_cam(FEATURES, GRADIENTS).tolist() == [[[3.5, -0.5]]]


def test_grad_cam_plus_plus_by_hand():
    # First map, sum 4: 1 / (2 + 4) and 4 / (8 + 4 * 8) = 1/6 and 1/10; weight 1/6 * 1 + 1/10 * 2 = 11/30.
    # Second: no positive gradient, weight 0.
    found = grad_cam_plus_plus(FEATURES, GRADIENTS)
    assert found.flatten().tolist() == pytest.approx([3 * 11 / 30, 11 / 30])


def test_layer_cam_by_hand():
    assert layer_cam(FEATURES, GRADIENTS).tolist() == [[[3.0, 2.0]]]


def net(variant, side=64, classes=10):
    """Random weights with running statistics of the images, so that values neither vanish nor explode."""
    model = init_model(variant, 0, classes).train()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(images)
    return model.eval(), images


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("variant", ["resnet20", "preact_resnet20", "plain20"])
def test_many_maps_at_once_are_those_asked_for_one_by_one(variant, method):
    model, images = net(variant, 32)
    layers, classes = [*stage_names(model), "layer2.1.conv1"], torch.tensor([7, 0, 7])
    found = class_maps(model, images, classes, layers, method)
    assert found.shape == (2, 3, 4, 32, 32)
    for k, target in enumerate(classes.tolist()):
        for place, layer in enumerate(layers):
            alone = attribute(model, images, target, method, layer)
            torch.testing.assert_close(found[:, k, place], alone, rtol=1e-3, atol=1e-4)
    each = torch.tensor([[1, 2], [3, 4]])
    mixed = class_maps(model, images, each, ["layer3"], method)
    torch.testing.assert_close(
        mixed[1, 1, 0], attribute(model, images[1:], 4, method)[0], rtol=1e-3, atol=1e-4
    )


def test_many_maps_cost_one_forward_pass_and_a_backward_pass_a_class():
    model, images = net("resnet20", 32)
    forward, backward = [], []
    model.register_forward_pre_hook(lambda *_: forward.append(1))
    model.layer2[0].conv1.register_full_backward_hook(lambda *_: backward.append(1))
    class_maps(model, images, torch.tensor([1, 2, 3]), stage_names(model))
    assert (len(forward), len(backward)) == (1, 3)
    class_maps(model, images, torch.tensor([1, 2, 3]), ["layer3"])
    assert (len(forward), len(backward)) == (2, 3)  # none went below the last stage


def test_what_cannot_be_asked_is_said():
    model, images = net("resnet20", 32)
    with pytest.raises(ValueError, match="method is 'saliency'; it may be grad_cam"):
        class_maps(model, images, torch.tensor([1]), ["layer3"], "saliency")
    with pytest.raises(ValueError, match="0 to 9"):
        class_maps(model, images, torch.tensor([1, 10]), ["layer3"])
    with pytest.raises(ValueError, match="no feature maps"):
        class_maps(model, images, torch.tensor([1]), ["fc"])


def test_layers_that_are_followed_by_work_in_place():
    """torchvision's ReLUs change what its norms gave out."""
    torch.manual_seed(0)
    theirs, images = resnet18(num_classes=10).eval(), torch.randn(2, 3, 64, 64)
    for layer in ("bn1", "layer1.0.bn1", "layer2"):
        raw = LayerGradCam(theirs, theirs.get_submodule(layer)).attribute(images, 3, relu_attributions=True)
        expected = F.interpolate(raw, (64, 64), mode="bilinear")[:, 0].detach()
        expected /= expected.amax(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(attribute(theirs, images, 3, layer=layer), expected, rtol=1e-3, atol=1e-4)


def enlarged(maps):
    """As `attribute` enlarges them, the largest 1."""
    maps = F.interpolate(torch.as_tensor(maps)[:, None].float(), (96, 96), mode="bilinear")[:, 0]
    return maps / maps.amax(dim=(1, 2), keepdim=True)


def correlations(first, second):
    return [
        torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()
        for a, b in zip(first, second, strict=True)
    ]


@pytest.mark.parametrize("variant", ["resnet18", "resnet50"])
@pytest.mark.parametrize("method", CAMS)
def test_the_package_grad_cam_agrees(variant, method):
    model, images = net(variant, 96)
    for layer in ("layer2", "layer4"):
        with THEIRS[method](model, [model.get_submodule(layer)]) as cam:
            low = raw_of(cam, images, 3)
        ours = attribute(model, images, 3, method, layer)
        assert ours.flatten(1).any(dim=1).all()
        assert min(correlations(ours, enlarged(low))) > 0.999


def raw_of(cam, images, target):
    """Their positive maps before they are scaled up by OpenCV, which does it unlike torch."""
    cam.activations_and_grads(images)
    outputs = cam.activations_and_grads(images)
    cam.model.zero_grad()
    sum(ClassifierOutputTarget(target)(output) for output in outputs).backward()
    features = cam.activations_and_grads.activations[0].detach().numpy()
    gradients = cam.activations_and_grads.gradients[0].detach().numpy()
    layer = cam.target_layers[0]
    weighted = cam.get_cam_image(
        images, layer, [ClassifierOutputTarget(target)] * 2, features, gradients, False
    )
    return weighted.clip(min=0)


@pytest.mark.parametrize("variant", ["resnet18", "resnet50"])
@pytest.mark.parametrize("method", ["grad_cam", "layer_cam"])
def test_the_package_torchcam_agrees(variant, method):
    """Its Grad-CAM++ is left out: it divides by its own estimate of the sum."""
    model, images = net(variant, 96)
    theirs = {"grad_cam": torchcam.GradCAM, "layer_cam": torchcam.LayerCAM}[method]
    for layer in ("layer2", "layer4"):
        with theirs(model, layer) as extractor:
            scores = model(images.clone().requires_grad_())
            (low,) = extractor([3, 3], scores, normalized=False)
        ours = attribute(model, images, 3, method, layer)
        assert min(correlations(ours, enlarged(low.detach().clamp_min(0)))) > 0.999
