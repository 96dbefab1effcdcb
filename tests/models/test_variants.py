"""Parameter counts against docs/reference.md and torchvision; logits against torchvision."""

import pytest
import torch
import torchvision
from torch import nn

from resnet_lab.models import VARIANTS, ModelSpec, create_model

IMAGENET_PARAMS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
}
CIFAR_PARAMS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def meta(variant: str | ModelSpec, **fields) -> nn.Module:
    with torch.device("meta"):
        return create_model(variant, **fields)


@pytest.mark.parametrize(("name", "params"), IMAGENET_PARAMS.items())
def test_imagenet_parameters(name, params):
    assert count(meta(name)) == params


@pytest.mark.parametrize(("layers", "params"), CIFAR_PARAMS.items())
def test_cifar_parameters(layers, params):
    assert count(meta(f"resnet{layers}")) == params
    assert (
        count(meta(f"resnet{layers}", shortcut="projection")) == params + 2_752
    )  # option B, docs/reference.md
    if layers != 1202:
        assert count(meta(f"plain{layers}")) == params


@pytest.mark.parametrize(
    ("plain", "residual"), [("plain18", "resnet18"), ("plain34", "resnet34"), ("plain50", "resnet50")]
)
def test_imagenet_plain_lacks_only_the_projections(plain, residual):
    model = meta(residual)
    projections = sum(count(m) for name, m in model.named_modules() if name.endswith("downsample"))
    assert projections > 0
    assert count(meta(plain)) == count(model) - projections


def test_tutorial_parameters():
    assert count(meta("tutorial_resnet50")) == 35_374_474


@pytest.mark.parametrize("name", ["preact_resnet20", "preact_resnet56", "preact_resnet110"])
def test_preactivation_moves_one_norm_to_the_end(name):
    """bn1 (16) of the stem is gone, bn_last (64) is new, and the first norm of stages 2 and 3 sees the
    narrower input: 2·(64 − 16 − 16 − 32) = 0 parameters more."""
    assert count(meta(name)) == count(meta(name.removeprefix("preact_")))


@pytest.mark.parametrize("name", IMAGENET_PARAMS)
def test_state_dict_names_are_torchvisions(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None).state_dict()
    ours = meta(name).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def randomize_norms(model: nn.Module) -> None:
    """Fresh BN statistics would hide a wrong order of layers."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)


@pytest.mark.parametrize("name", IMAGENET_PARAMS)
@torch.no_grad()
def test_logits_equal_torchvision(name):
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None).eval()
    randomize_norms(theirs)
    ours = create_model(name).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 96, 96)
    expected = theirs(x)
    assert expected.std() > 0
    torch.testing.assert_close(ours(x) / expected.std(), expected / expected.std(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dilation", [(False, False, True), (False, True, True), (True, True, True)])
@torch.no_grad()
def test_dilation_equals_torchvision(dilation):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=list(dilation)).eval()
    ours = create_model("resnet50", dilation=dilation).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 65, 65)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-5)

    def strides(net):
        return [(m.stride, m.padding, m.dilation) for m in net.modules() if isinstance(m, nn.Conv2d)]

    assert strides(ours) == strides(theirs)


@torch.no_grad()
def test_group_norm_equals_torchvision():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(norm_layer=lambda c: nn.GroupNorm(32, c)).eval()
    ours = create_model("resnet18", norm="group").eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-5)


def test_zero_init_makes_every_residual_branch_zero():
    model = create_model("resnet20", zero_init_residual=True)
    x = torch.randn(2, 16, 8, 8)
    block = model.layer1[0]
    assert torch.equal(block(x), x.relu())
    theirs = torchvision.models.resnet18(zero_init_residual=True)
    ours = create_model("resnet18", zero_init_residual=True)

    def zeros(net):
        return sorted(n for n, p in net.named_parameters() if n.endswith("weight") and not p.any())

    assert zeros(ours) == zeros(theirs)


def test_initialisation_is_kaiming_fan_out():
    torch.manual_seed(0)
    model = create_model("resnet50")
    conv = model.layer3[0].conv2
    expected = (2 / (conv.out_channels * 9)) ** 0.5
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.01)
    assert conv.weight.mean().abs().item() < expected / 50
    assert torch.equal(model.bn1.weight, torch.ones(64))
    assert torch.equal(model.bn1.bias, torch.zeros(64))


def test_option_a_pads_and_subsamples_by_hand():
    shortcut = create_model("resnet20").layer2[0].downsample
    x = torch.arange(2 * 16 * 4 * 4, dtype=torch.float32).reshape(2, 16, 4, 4)
    y = shortcut(x)
    assert y.shape == (2, 32, 2, 2)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_every_variant_runs_on_small_images(name):
    model = meta(name, num_classes=7)
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", ["resnet20", "plain20", "preact_resnet20", "tutorial_resnet50"])
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    model = create_model(name)
    model(torch.randn(4, 3, 32, 32)).logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("block", [(3, 1), (1, 3), (3, 1, 1), (3, 1, 3)])
def test_wide_resnet_blocks(block):
    model = create_model(ModelSpec(block=block, blocks=(1, 1), width=8, stem="cifar", num_classes=3))
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 3)
    kernels = [m.kernel_size[0] for n, m in model.layer2[0].named_children() if n.startswith("conv")]
    assert tuple(kernels) == block
