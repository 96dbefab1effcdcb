"""What the kernels compute beside torch's own: norm, addition and ReLU at once, gradients of convolutions."""

import copy
import shutil
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from resnet_lab.models import create_model
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.distributed import ALONE, World
from resnet_lab.training.engine import Trainer
from resnet_lab.training.events import Checkpoint
from resnet_lab.training.fused import Convolution, NormReLU, fuse
from resnet_lab.training.interrupt import Interrupted
from resnet_lab.training.stepper import Choice
from resnet_lab.training.tuning import Tuner, can_fuse, candidates

COMPILER = sys.platform == "linux" and (shutil.which("c++") or shutil.which("g++"))
pytestmark = pytest.mark.skipif(not COMPILER, reason="no C++ compiler")
CPU = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
needs_bf16 = pytest.mark.skipif(
    "avx512_bf16" not in CPU, reason="the processor multiplies no pairs of bfloat16"
)
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
NETS = ("resnet20", "plain20", "preact_resnet20", "resnet18", "resnet50", "tutorial_resnet50", "plain18")


def norm_of(channels):
    bn = nn.BatchNorm2d(channels)
    nn.init.normal_(bn.weight)
    nn.init.normal_(bn.bias)
    return bn


def pictures(*shape, dtype=torch.float32, offset=0.0):
    values = (torch.randn(shape) + offset).to(dtype)
    return values.contiguous(memory_format=torch.channels_last).requires_grad_()


def gradients(net, own, x):
    """Of all weights of `own` in one vector, float64, of a loss that `net` computes."""
    own.zero_grad()
    F.cross_entropy(net(x).double(), torch.arange(len(x)) % 10).backward()
    return torch.cat([p.grad.flatten().double() for p in own.parameters()])


def error(values, truth):
    return ((values - truth).norm() / truth.norm()).item()


@pytest.mark.parametrize("shape", [(4, 16, 9, 7), (3, 48, 1, 1), (2, 160, 5, 40)])
@pytest.mark.parametrize(("dtype", "has_shortcut"), product(TOLERANCE, (False, True)))
def test_values_gradients_and_statistics_are_those_of_torch(shape, dtype, has_shortcut):
    torch.manual_seed(0)
    bn = norm_of(shape[1])
    exact = copy.deepcopy(bn).double()
    tensors = [pictures(*shape, dtype=dtype, offset=0.5), *([pictures(*shape, dtype=dtype)] * has_shortcut)]
    doubles = [t.detach().double().requires_grad_() for t in tensors]
    y = NormReLU(bn)(*tensors)
    before = exact(doubles[0]) + (doubles[1] if has_shortcut else 0)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.double(), before.relu(), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    for name, value in bn.named_buffers():
        torch.testing.assert_close(value.double(), exact.get_buffer(name).double(), atol=1e-5, rtol=1e-5)

    slope = torch.randn(shape, dtype=torch.float64)
    slope[before.abs() < 1e-3] = 0  # there, rounding decides whether ReLU passes the gradient on
    found = torch.autograd.grad(y, [*tensors, bn.weight, bn.bias], slope.to(dtype))
    wanted = torch.autograd.grad(
        before.relu(), [*doubles, exact.weight, exact.bias], slope.to(dtype).double()
    )
    for mine, theirs in zip(found, wanted, strict=True):
        assert error(mine.double(), theirs) < TOLERANCE[dtype]


def test_a_mean_far_from_zero_does_not_drown_the_variance():
    torch.manual_seed(0)
    x = pictures(8, 16, 16, 16, offset=3000.0)
    bn = nn.BatchNorm2d(16)
    truth = copy.deepcopy(bn).double()(x.detach().double()).relu()
    assert error(NormReLU(bn)(x).double(), truth) < 1e-3


def test_nan_is_not_hidden_by_relu():
    x = pictures(2, 16, 4, 4)
    with torch.no_grad():
        x[0, 3, 1, 1] = torch.nan
    y = NormReLU(nn.BatchNorm2d(16))(x)
    assert y[:, 3].isnan().all()
    assert y[:, :3].isfinite().all()


def test_the_same_threads_give_the_same_bits():
    torch.manual_seed(0)
    x, s, bn = pictures(16, 32, 16, 16), pictures(16, 32, 16, 16), norm_of(32)
    slope = torch.randn(x.shape)

    def once():
        y = NormReLU(bn)(x, s)
        return [y.detach(), *torch.autograd.grad(y, [x, s, bn.weight, bn.bias], slope)]

    first = once()
    assert all(torch.equal(a, b) for _ in range(5) for a, b in zip(first, once(), strict=True))


def convolution(inputs=16, outputs=32, **options):
    options = {"padding": 1, "bias": False, **options}
    return nn.Conv2d(inputs, outputs, 3, **options).to(memory_format=torch.channels_last)


@needs_bf16
@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((4, 16, 32, 32), 16),
        ((3, 32, 9, 7), 48),
        ((2, 128, 1, 1), 16),
        ((1, 16, 2, 300), 128),
        ((5, 48, 40, 1), 32),
    ],
)
def test_a_convolution_and_its_gradients_are_those_of_torch(shape, outputs):
    torch.manual_seed(0)
    conv = convolution(shape[1], outputs)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())  # as a convolution in bfloat16 sees it
    x, slope = (
        pictures(*shape, dtype=torch.bfloat16),
        pictures(shape[0], outputs, *shape[2:], dtype=torch.bfloat16),
    )
    exact_x, exact_weight = (
        x.detach().double().requires_grad_(),
        conv.weight.detach().double().requires_grad_(),
    )
    exact = F.conv2d(exact_x, exact_weight, padding=1)
    ours = Convolution.of(conv)
    assert isinstance(ours, Convolution)
    y = ours(x)
    found = [y, *torch.autograd.grad(y, [x, conv.weight], slope)]
    wanted = [exact, *torch.autograd.grad(exact, [exact_x, exact_weight], slope.double())]
    assert [t.dtype for t in found] == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in found)
    for mine, theirs, tolerance in zip(found, wanted, (3e-3, 3e-3, 1e-6), strict=True):
        assert error(mine.double(), theirs) < tolerance  # bfloat16 holds numbers to within 2e-3 in the mean
        assert (mine - theirs).abs().max() < 2 * tolerance * theirs.abs().max()


@needs_bf16
def test_a_convolution_is_the_same_on_any_number_of_threads():
    torch.manual_seed(0)
    conv, norm = Convolution.of(convolution(32, 32)), NormReLU(norm_of(32))
    x, slope = (pictures(8, 32, 20, 20, dtype=torch.bfloat16) for _ in range(2))
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = norm(conv(x))
            results.append(
                [y.detach(), *torch.autograd.grad(y, [x, *conv.parameters(), *norm.parameters()], slope)]
            )
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@needs_bf16
def test_a_frozen_convolution_passes_the_gradient_on():
    torch.manual_seed(0)
    conv = convolution().requires_grad_(False)
    x = pictures(2, 16, 8, 8, dtype=torch.bfloat16)
    Convolution.of(conv)(x).sum().backward()
    assert conv.weight.grad is None
    wanted = torch.nn.grad.conv2d_input(x.shape, conv.weight, torch.ones(2, 32, 8, 8), padding=1)
    assert error(x.grad.double(), wanted.double()) < 5e-3


def test_a_convolution_that_the_kernel_does_not_compute_stays():
    plain = convolution()
    others = [
        convolution(24),
        convolution(outputs=256),
        convolution(bias=True),
        convolution(stride=2),
        convolution(padding=2, dilation=2),
        convolution(groups=2),
        convolution(padding_mode="reflect"),
        nn.Conv2d(16, 16, 1, bias=False),
        nn.Identity(),
    ]
    assert all(Convolution.of(module) is module for module in others)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(Convolution.of(plain)(x), plain(x))  # in float32, nothing changes


@needs_bf16
@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_in_bfloat16_a_fused_net_is_as_near_to_float64_as_the_net(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=10).to(memory_format=torch.channels_last).train()
    exact, twin = copy.deepcopy(model).double(), fuse(model)
    assert sum(isinstance(m, Convolution) for m in twin.modules()) == 16
    x = torch.randn(16, 3, 32, 32)
    truth = gradients(exact, exact, x.double())
    with torch.autocast("cpu", torch.bfloat16):
        fused, plain = (error(gradients(net, model, x), truth) for net in (twin, model))
    assert fused < 1.05 * plain < 0.5  # rounded activations are most of it


@pytest.mark.parametrize("name", NETS)
def test_a_fused_net_has_the_gradients_of_the_net(name):
    """Of one in float64. Depth magnifies rounding: the net itself is off by 0.0003 (plain20) to 0.02 (resnet50)."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=10).to(memory_format=torch.channels_last).train()
    exact, twin = copy.deepcopy(model).double(), fuse(model)
    x = torch.randn(16, 3, 32, 32)
    truth = gradients(exact, exact, x.double())
    assert error(gradients(twin, model, x), truth) < 0.05
    for key, value in model.named_buffers():
        torch.testing.assert_close(value.double(), exact.get_buffer(key).double(), atol=1e-3, rtol=1e-3)
    assert sum(isinstance(m, NormReLU) for m in twin.modules()) >= len(model.convolutions) - 1
    assert not any(isinstance(m, NormReLU) for m in model.modules())
    assert {id(p) for p in twin.parameters()} == {id(p) for p in model.parameters()}
    model.eval()
    assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize("changes", [{"width": 8}, {"norm": "group"}, {"norm": "none"}, {"stem": "deep"}])
def test_what_the_kernels_cannot_do_is_done_as_before(changes):
    torch.manual_seed(0)
    spec = TrainConfig("resnet20").spec.replace(name="odd", num_classes=10, **changes)
    model = create_model(spec).train()
    x = torch.randn(4, 3, 64, 64)
    expected = gradients(model, model, x)
    assert error(gradients(fuse(model), model, x), expected) < 1e-3


def test_a_step_of_a_run_is_the_same_and_can_be_left_half_way(tiny):
    results = []
    for is_fused in (False, True):
        trainer = Trainer(tiny.replace(channels_last=True), lambda event: None)
        trainer.stepper.use(Choice("float32", channels_last=True, fused=is_fused))
        x, labels = trainer.feed.batch(0)
        before = copy.deepcopy(trainer.model.state_dict())
        asked = iter([False] * 12)
        with pytest.raises(Interrupted):
            trainer.stepper.take(x, labels, 0.1, lambda asked=asked: next(asked, True))
        assert all(torch.equal(v, before[k]) for k, v in trainer.model.state_dict().items())
        results.append(trainer.stepper.take(x, labels, 0.1, None))
    torch.testing.assert_close(results[0].loss, results[1].loss, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[0].norm, results[1].norm, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"deterministic": True}, {"compile": True}, {"channels_last": False}])
def test_a_run_of_one_way_is_left_as_it_is(tiny, changes):
    trainer = Trainer(tiny.replace(channels_last=None).replace(**changes), lambda event: None)
    assert not trainer.stepper.choice.fused


def test_fused_comes_with_channels_last():
    config = TrainConfig("resnet20", precision="float32", channels_last=None)
    ways = candidates(config, torch.device("cpu"), can_fuse=True)
    assert [(way.channels_last, way.fused) for way in ways] == [(True, True), (False, False)]


def test_a_run_resumed_where_kernels_cannot_be_used_goes_without(tiny):
    """On several processes above all: a fused net knows nothing of the others' gradients."""
    events = []
    config = tiny.replace(epochs=1, channels_last=True)
    fit(config, events.append)
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    assert state["tuner"]["choice"]["fused"]
    trainer = Trainer(config, lambda event: None)
    assert can_fuse(config, trainer.device, ALONE)
    pair = World(0, 2)
    assert not can_fuse(config, trainer.device, pair)
    tuner = Tuner(config, trainer.stepper, 100, pair, print, print)
    tuner.restore(state["tuner"])
    assert trainer.stepper.choice == Choice("float32", channels_last=True)
