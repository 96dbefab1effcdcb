"""Attribution against numbers by hand and against Captum; and that the model is given back as it was."""

import threading

import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradCam
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from resnet_lab.attribution import (
    METHODS,
    Cancelled,
    attribute,
    preserve_state,
    signed_attribute,
    stage_names,
)
from resnet_lab.attribution.layers import find_layer
from resnet_lab.models import VARIANTS, ModelSpec, create_model


class Tiny(nn.Module):
    """Two feature maps, the red and the green channel of the image; the classes weigh their means."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Conv2d(3, 2, 1, bias=False)
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.layer1.weight.copy_(torch.eye(3)[:2].view(2, 3, 1, 1))
            self.fc.weight.copy_(torch.tensor([[2.0, -1.0], [-4.0, 0.0]]))

    def forward(self, x):
        return self.fc(self.layer1(x).mean(dim=(2, 3)))


@pytest.fixture
def tiny_picture():
    picture = torch.zeros(1, 3, 2, 2)
    picture[0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    picture[0, 1] = torch.tensor([[4.0, 0.0], [2.0, 8.0]])
    return picture


def test_grad_cam_by_hand(tiny_picture):
    # d score0 / d map = weight / 4 pixels: 2/4 for red, -1/4 for green, the same at each pixel.
    # 0.5 * [[1, 2], [3, 4]] - 0.25 * [[4, 0], [2, 8]] = [[-0.5, 1], [1, 0]]; positive part; largest is 1.
    assert attribute(Tiny(), tiny_picture, target=0).tolist() == [[[0.0, 1.0], [1.0, 0.0]]]


def test_a_map_without_anything_positive_is_zero_and_not_nan(tiny_picture):
    # class 1 weighs red with -1 and green with 0: -[[1, 2], [3, 4]], nothing positive
    assert attribute(Tiny(), tiny_picture, target=1).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_saliency_by_hand(tiny_picture):
    # score0 = 2 mean(red) - mean(green): |gradient| is 0.5 and 0.25 everywhere; the largest is 0.5, made 1
    assert attribute(Tiny(), tiny_picture, 0, "saliency").tolist() == [[[1.0, 1.0], [1.0, 1.0]]]


def test_saliency_is_the_gradient_of_the_logit():
    model, pictures = small_net()
    reference = pictures.clone().requires_grad_()
    model(reference)[range(4), [0, 1, 2, 3]].sum().backward()
    expected = reference.grad.abs().amax(1)
    maps = attribute(model, pictures, torch.arange(4), "saliency")
    torch.testing.assert_close(maps, expected / expected.amax(dim=(1, 2), keepdim=True))


def small_net(variant="resnet20", side=32):
    torch.manual_seed(0)
    model = create_model(variant, num_classes=10).eval()
    return model, torch.randn(4, 3, side, side)


@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3", "layer2.1.conv2"])
def test_grad_cam_is_captums(layer):
    model, pictures = small_net()
    classes = torch.tensor([3, 1, 4, 1])
    raw = LayerGradCam(model, model.get_submodule(layer)).attribute(pictures, classes, relu_attributions=True)
    expected = F.interpolate(raw, (32, 32), mode="bilinear")[:, 0]
    expected = (expected / expected.amax(dim=(1, 2), keepdim=True)).nan_to_num(0)  # 0/0: an empty map
    assert expected.any()
    torch.testing.assert_close(attribute(model, pictures, classes, layer=layer), expected)


FAMILIES = {  # slim, as some methods run each of them dozens of times
    "basic": (VARIANTS["resnet18"].replace(width=8), 64),
    "bottleneck": (VARIANTS["resnet50"].replace(width=8, blocks=(1, 1, 1, 1)), 64),
    "grouped": (VARIANTS["resnext50_32x4d"].replace(width=16, blocks=(1, 1, 1, 1)), 64),
    "wide": (VARIANTS["wide_resnet50_2"].replace(width=8, blocks=(1, 1, 1, 1)), 64),
    "plain": (VARIANTS["plain18"].replace(width=8), 64),
    "option A": ("resnet20", 32),
    "plain CIFAR": ("plain20", 32),
    "preact": ("preact_resnet20", 32),
    "preact bottleneck": (ModelSpec("p", (1, 3, 1), (1, 2), width=16, stem="cifar", preactivation=True), 32),
    "tutorial": (VARIANTS["tutorial_resnet50"].replace(width=8), 64),
    "dilated": (ModelSpec("d", (1, 3, 1), (1, 1, 1), width=16, dilation=(False, True)), 64),
    "deep stem": (ModelSpec("s", (3, 3), (1, 1), width=16, stem="deep"), 64),
    "no norm": (ModelSpec("n", (3, 3), (1, 1), width=16, norm="none", conv_bias=True), 64),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_on_every_family(family, method, monkeypatch):
    monkeypatch.setattr("resnet_lab.attribution.methods.PATCHES", 4)  # 10 passes of occlusion instead of 226
    variant, side = FAMILIES[family]
    torch.manual_seed(0)
    model, pictures = create_model(variant).eval(), torch.randn(2, 3, side, side)
    logits = model(pictures)
    maps = attribute(model, pictures, method=method)
    assert maps.shape == (2, side, side)
    assert maps.min() >= 0
    assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(2))
    assert torch.equal(model(pictures), logits)


@pytest.mark.parametrize("name", ["layer1", "layer2", "layer3"])
def test_a_preactivation_stage_is_read_after_the_norm_and_relu_that_follow(name):
    model, pictures = small_net("preact_resnet20")
    seen = []
    hook = find_layer(model, name).register_forward_hook(lambda *call: seen.append(call[2]))
    stage = model.get_submodule(name).register_forward_hook(lambda *call: seen.append(call[2]))
    model(pictures)
    hook.remove()
    stage.remove()
    summed, activated = seen
    assert summed.shape == activated.shape
    assert summed.min() < 0 <= activated.min()


def test_the_last_stage_and_the_predicted_class_are_the_defaults():
    model, pictures = small_net()
    explicit = attribute(model, pictures, model(pictures).argmax(1), layer=model.layer3)
    assert torch.equal(attribute(model, pictures), explicit)
    assert not torch.equal(attribute(model, pictures, layer="layer1"), explicit)


def test_one_class_for_all_is_that_class_for_each():
    model, pictures = small_net()
    assert torch.equal(attribute(model, pictures, 7), attribute(model, pictures, torch.full((4,), 7)))


def test_torchvisions_net_works_too():
    """Its ReLUs work in place."""
    torch.manual_seed(0)
    model = resnet18(num_classes=5).eval()
    assert stage_names(model) == ("layer1", "layer2", "layer3", "layer4")
    assert attribute(model, torch.randn(1, 3, 64, 64)).max() == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layer": "layer9"}, "layer is 'layer9'; it may be layer1, layer2, layer3"),
        ({"layer": "fc"}, "layer 'fc' has no feature maps"),
        ({"layer": nn.ReLU()}, "layer is a ReLU of another net"),
        ({"method": "magic"}, "method is 'magic'; it may be grad_cam, grad_cam_plus_plus, layer_cam, guided"),
        ({"target": 10}, "target is 10; it may be 0 to 9"),
        ({"target": -1}, "target is -1"),
        ({"target": torch.tensor([1, 2])}, "one for each of 4 images"),
        ({"images": torch.zeros(4, 3, 32, 32, dtype=torch.uint8)}, "they must be float"),
        ({"images": torch.zeros(3, 32, 32)}, "they must be float"),
        ({"images": torch.zeros(0, 3, 32, 32)}, "none of these 0"),
        ({"images": torch.zeros(4, 3, 0, 32)}, "none of these 0"),
    ],
)
def test_wrong_requests_say_what_may_be(wrong, message):
    model, pictures = small_net()
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        attribute(model, **{"images": pictures, **wrong})


def test_a_net_without_stages_asks_for_a_layer(tiny_picture):
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match="no stages"):
        attribute(model, tiny_picture)
    assert attribute(model, tiny_picture, target=0, layer="0").shape == (1, 2, 2)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_does_not_matter(context):
    model, pictures = small_net()
    expected = attribute(model, pictures)
    with context():
        made_inside = pictures * 1
        assert torch.equal(attribute(model, made_inside), expected)


def test_train_mode_and_frozen_parameters_do_not_matter():
    model, pictures = small_net()
    expected = attribute(model, pictures)
    model.train().requires_grad_(False)
    assert torch.equal(attribute(model, pictures), expected)


def snapshot(model):
    return (
        {name: module.training for name, module in model.named_modules()},
        {name: len(module._forward_hooks) for name, module in model.named_modules()},
        {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        {name: parameter.grad for name, parameter in model.named_parameters()},
        {name: value.clone() for name, value in model.state_dict().items()},
        torch.get_rng_state(),
    )


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a is b


@pytest.fixture
def peculiar():
    """A net in a state that no blanket train(), eval() or requires_grad_() would leave behind."""
    model, pictures = small_net()
    model.train()
    model.layer1.eval()
    model.conv1.requires_grad_(False)
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    model.layer2.register_forward_hook(lambda *call: None)
    return model, pictures


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_given_back_as_it_was(peculiar, method):
    model, pictures = peculiar
    before = snapshot(model)
    attribute(model, pictures, method=method)
    assert all(map(same, before, snapshot(model)))
    assert pictures.grad is None
    assert not pictures.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_also_after_an_exception(peculiar, method):
    model, pictures = peculiar
    model.fc.forward = lambda x: 1 / 0  # after the hooked layer
    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        attribute(model, pictures, 0, method)
    assert all(map(same, before, snapshot(model)))


def leave_hooks_and_fail(model):
    with preserve_state(model):
        model.layer3.register_forward_hook(lambda *call: None)
        model.layer3.register_full_backward_hook(lambda *call: None)
        raise KeyError


def test_undisturbed_removes_hooks_that_were_left_behind(peculiar):
    model, _ = peculiar
    before = snapshot(model)
    with pytest.raises(KeyError):
        leave_hooks_and_fail(model)
    assert all(map(same, before, snapshot(model)))
    assert not model.layer3._backward_hooks


def test_two_threads_sharing_a_model_get_the_maps_of_one():
    model, pictures = small_net()
    model.train()
    expected = [attribute(model, pictures[i : i + 1], i) for i in range(4)]
    got = {}

    def work(i):
        got[i] = [attribute(model, pictures[i : i + 1], i) for _ in range(15)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0, 1, 2, 3]
    for i in range(4):
        assert all(torch.equal(heat, expected[i]) for heat in got[i])
    assert all(module.training for module in model.modules())


def test_the_lock_is_per_model():
    first, second = small_net()[0], small_net()[0]
    with preserve_state(first):
        other = threading.Thread(target=attribute, args=(second, torch.zeros(1, 3, 32, 32)), daemon=True)
        other.start()
        other.join(60)
        assert not other.is_alive()


class Linear(nn.Module):
    """Score of class 0: the sum of images times weights, plus one."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x):
        score = (x * self.weights).sum(dim=(1, 2, 3)) + 1
        return torch.stack([score, -score], dim=1)


def linear_case():
    generator = torch.Generator().manual_seed(4)
    weights, picture = (torch.randn(3, 16, 16, generator=generator) for _ in range(2))
    return Linear(weights), picture[None]


def scaled(values):
    return values / values.abs().max()


def test_integrated_gradients_of_a_linear_net_are_weights_times_picture():
    model, picture = linear_case()
    found = signed_attribute(model, picture, 0, "integrated_gradients")
    torch.testing.assert_close(found[0], scaled((model.weights * picture[0]).sum(0).detach()))


def test_integrated_gradients_add_up_to_the_difference_of_scores():
    """Completeness (Sundararajan et al. 2017, Prop. 1), on a net with ReLUs."""
    model, pictures = small_net()
    classes = torch.tensor([3, 1, 4, 1])
    whole = METHODS["integrated_gradients"].compute(model, pictures, classes, None)
    with torch.no_grad():
        ends = model(pictures)[range(4), classes] - model(torch.zeros_like(pictures))[range(4), classes]
    torch.testing.assert_close(whole.sum(dim=(1, 2, 3)), ends, rtol=0.1, atol=0.1)


def test_smooth_grad_of_a_linear_net_is_its_saliency_and_repeats_itself():
    model, picture = linear_case()
    smooth = attribute(model, picture, 0, "smooth_grad")
    torch.testing.assert_close(smooth, attribute(model, picture, 0, "saliency"))
    net, pictures = small_net()
    state = torch.get_rng_state()
    assert torch.equal(
        attribute(net, pictures, method="smooth_grad"), attribute(net, pictures, method="smooth_grad")
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_occlusion_of_a_linear_net_by_hand():
    """16 px, so patches of 2 × 2 with stride 1; a pixel's value is the mean fall over the patches that hide it."""
    model, picture = linear_case()
    product = (model.weights * picture[0]).sum(0).detach()
    falls = F.avg_pool2d(product[None, None], 2, stride=1)[0, 0] * 4  # (15, 15): each patch's fall
    total, count = torch.zeros(16, 16), torch.zeros(16, 16)
    for i in range(15):
        for j in range(15):
            total[i : i + 2, j : j + 2] += falls[i, j]
            count[i : i + 2, j : j + 2] += 1
    found = signed_attribute(model, picture, 0, "occlusion")
    torch.testing.assert_close(found[0], scaled(total / count), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(40, 7), (7, 40), (3, 5), (1, 6), (1, 1), (33, 17)])
def test_occlusion_of_oblong_and_tiny_pictures_by_hand(size):
    """The mean fall over the patches that hide a pixel, each side walked by itself, for two images at once."""
    torch.manual_seed(0)
    model, pictures = Linear(torch.randn(3, *size)), torch.randn(2, 3, *size)
    product = (
        (model.weights * pictures).sum(1).detach()
    )  # (2, H, W); hiding a patch takes its sum from the score
    total, count = torch.zeros(2, *size), torch.zeros(size)
    for top, bottom in patches(size[0]):
        for left, right in patches(size[1]):
            total[:, top:bottom, left:right] += product[:, top:bottom, left:right].sum((1, 2), keepdim=True)
            count[top:bottom, left:right] += 1
    found = signed_attribute(model, pictures, 0, "occlusion")
    expected = torch.stack([scaled(falls / count) for falls in total])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def patches(side):
    """Where the patch begins and ends along a side of so many pixels."""
    stride = next(n for n in range(1, side + 1) if 16 * n >= side)
    start = 0
    while True:
        yield start, min(start + 2 * stride, side)
        if start + 2 * stride >= side:
            return
        start += stride


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 300))
def test_occlusion_takes_no_more_passes_than_it_says_at_any_size(height, width):
    model, passes = Linear(torch.ones(3, height, width)), []
    attribute(model, torch.randn(1, 3, height, width), 0, "occlusion", on_pass=lambda: passes.append(1))
    assert len(passes) <= METHODS["occlusion"].passes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (1, 8), (5, 3), (40, 7)])
def test_every_method_on_oblong_and_tiny_pictures_answers_for_each_by_itself(method, size):
    torch.manual_seed(0)
    model, pictures = create_model("resnet20", num_classes=10).eval(), torch.randn(2, 3, *size)
    together = attribute(model, pictures, 3, method)
    assert together.shape == (2, *size)
    assert together.isfinite().all()
    if method != "smooth_grad":  # whose noise depends on the place in the batch
        alone = torch.cat([attribute(model, picture[None], 3, method) for picture in pictures])
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


def test_guided_grad_cam_is_guided_backpropagation_times_grad_cam():
    model, pictures = small_net()
    classes = torch.tensor([3, 1, 4, 1])
    guided = GuidedBackprop(model).attribute(pictures, classes)
    cam = LayerGradCam(model, model.layer3).attribute(pictures, classes, relu_attributions=True)
    expected = (guided * F.interpolate(cam, (32, 32), mode="bilinear")).sum(1)
    found = signed_attribute(model, pictures, classes, "guided_grad_cam")
    peaks = expected.abs().amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(found, expected / peaks.where(peaks > 0, 1), rtol=1e-3, atol=1e-4)


def test_methods_without_a_sign_have_none_where_features_are_negative(tiny_picture):
    # LayerCAM takes the positive gradient alone, 0.5 for red: -0.5 * [[1, 2], [3, 4]], nothing positive
    assert signed_attribute(Tiny(), -tiny_picture, 0, "layer_cam").tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_signed_maps_tell_against_from_for():
    model, pictures = small_net()
    signed = signed_attribute(model, pictures, 0, "integrated_gradients")
    assert signed.min() < 0 < signed.max()
    assert torch.equal(signed.abs().amax(dim=(1, 2)), torch.ones(4))
    assert signed_attribute(model, pictures, 0, "saliency").min() >= 0


@pytest.mark.parametrize("method", METHODS)
def test_every_pass_is_told_and_can_end_the_work_with_the_model_as_it_was(method):
    model, pictures = small_net(side=16)
    model.train()
    model.layer1.eval()
    seen = []

    def stop():
        seen.append(1)
        if len(seen) == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        attribute(model, pictures, 0, method, on_pass=stop)
    assert model.training
    assert not model.layer1.training
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_pre_hooks or m._forward_hooks or m._backward_hooks for m in model.modules())
    attribute(model, pictures[:1], 0, method, on_pass=lambda: seen.append(1))
    assert abs(len(seen) - 1 - METHODS[method].passes) <= 3
