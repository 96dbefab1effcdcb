"""Nets whose forward makes, holds, keeps or moves tensors: read like any other, and left as they were."""

import pytest
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_lab.inspection import layer_table

SIZE = (3, 10, 12)


class Made(nn.Module):
    """Joins the image to a tensor (1, 1, 10, 12) that `make` gives, and convolves both."""

    def __init__(self, make):
        super().__init__()
        self.make = make
        self.conv = nn.Conv2d(4, 5, 3, bias=False)

    def forward(self, x):
        return self.conv(torch.cat([x, self.make(x)], dim=1))


HELD = torch.ones(1, 1, 10, 12)
MAKERS = {
    "zeros": lambda x: torch.zeros(1, 1, 10, 12),
    "ones on the input's device": lambda x: torch.ones(1, 1, 10, 12, device=x.device),
    "full on a device of its own": lambda x: torch.full((1, 1, 10, 12), 0.5, device="cpu"),
    "linspace": lambda x: torch.linspace(-1, 1, x.shape[-1]).expand(1, 1, 10, 12),
    "arange": lambda x: torch.arange(120.0).view(1, 1, 10, 12),
    "randn": lambda x: torch.randn(1, 1, 10, 12),
    "as_tensor": lambda x: torch.as_tensor([[[[0.5]]]]).expand(1, 1, 10, 12),
    "tensor times": lambda x: x[:, :1] * torch.tensor([2.0]),
    "new_zeros": lambda x: x.new_zeros(1, 1, 10, 12),
    "zeros_like": lambda x: torch.zeros_like(x[:, :1]),
    "meshgrid": lambda x: torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")[0][
        None, None
    ],
    "held": lambda x: HELD,
    "moved to the input": lambda x: HELD.to(x.device),
    "there and back": lambda x: x.cpu()[:, :1].to("cpu", torch.float64).float().to(x),
    "the value of a constant": lambda x: x[:, :1] * HELD[0, 0, 0, 0].item(),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_net_that_makes_a_tensor_has_the_macs_that_torch_and_torchinfo_count(make):
    model = Made(make)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *SIZE))
    table = layer_table(model, SIZE)
    assert table.total_macs == counter.get_total_flops() // 2 == 5 * 8 * 10 * 4 * 9
    assert table.total_macs == torchinfo.summary(model, (1, *SIZE), verbose=0).total_mult_adds


def test_constants_are_no_rows_and_see_no_pixel():
    """What is joined to a constant sees as much of the image as before."""
    for name in ("zeros", "linspace", "new_zeros", "zeros_like", "held"):
        cat, conv = layer_table(Made(MAKERS[name]), SIZE).rows
        assert (cat.type, cat.receptive_field) == ("cat", (1, 1))
        assert (conv.type, conv.receptive_field) == ("Conv2d", (3, 3))


def test_the_random_state_is_not_drawn_from():
    model = Made(MAKERS["randn"])
    state = torch.get_rng_state()
    layer_table(model, SIZE)
    assert torch.equal(torch.get_rng_state(), state)


class Keeps(nn.Module):
    """Makes its grid once, in each of the ways that people do, and counts its calls."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls, self.grid, self.cache = how, 0, None, {}
        self.conv = nn.Conv2d(4, 5, 3)

    def forward(self, x):
        self.calls += 1
        if self.how == "attribute" and self.grid is None:
            self.grid = torch.ones(1, 1, *x.shape[2:])
        if self.how == "buffer" and "late" not in self._buffers:
            self.register_buffer("late", torch.ones(1, 1, *x.shape[2:]))
        if self.how == "cache":
            self.cache.setdefault(x.shape, torch.ones(1, 1, *x.shape[2:]))
        grid = {"attribute": self.grid, "buffer": self._buffers.get("late"), "cache": self.cache.get(x.shape)}
        return self.conv(torch.cat([x, grid[self.how]], dim=1))


@pytest.mark.parametrize("how", ["attribute", "buffer", "cache"])
@pytest.mark.parametrize("train", [True, False])
def test_what_a_forward_keeps_does_not_stay_without_values(how, train):
    model, image = Keeps(how).train(train), torch.randn(1, *SIZE)
    assert layer_table(model, SIZE).total_macs == 5 * 8 * 10 * 4 * 9
    assert (model.calls, model.grid, model.cache, model.training) == (0, None, {}, train)
    assert "late" not in model.state_dict()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    expected = torch.conv2d(
        torch.cat([image, torch.ones(1, 1, 10, 12)], 1), model.conv.weight, model.conv.bias
    )
    torch.testing.assert_close(model(image), expected)
    layer_table(model, SIZE)  # again, now that there is a grid with values
    torch.testing.assert_close(model(image), expected)


ASKS = {
    "item": lambda x: x[:, :1] * x.sum().item(),
    "if": lambda x: x[:, :1] if x.mean() > 0 else -x[:, :1],
    "float": lambda x: x[:, :1] * float(x.max()),
    "numpy": lambda x: torch.from_numpy(x.numpy())[:, :1],
    "tolist": lambda x: x[:, :1] * x.flatten().tolist()[0],
    "nonzero": lambda x: x[:, : len(x.nonzero())],
    "mask": lambda x: x[x > 0].mean() * x[:, :1],
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_forward_that_needs_values_is_refused_in_a_sentence(ask):
    model = Made(ask)
    with pytest.raises(ValueError, match=r"the net fails at .* it needs the values of a tensor") as refused:
        layer_table(model, SIZE)
    assert "meta" not in str(refused.value)
    assert not model.conv._forward_hooks
