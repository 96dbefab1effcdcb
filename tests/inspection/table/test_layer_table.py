"""The layer table against docs/reference.md, torchvision's metadata and torch's own FLOP counter."""

import contextlib

import pytest
import torch
import torchvision
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from resnet_lab.inspection import layer_table, neighbours, twin_of
from resnet_lab.models import ModelSpec, create_model, default_input_size, get_spec

CIFAR = {  # layers → parameters, MMACs (docs/reference.md)
    20: (269_722, 40.6), 32: (464_154, 68.9), 44: (658_586, 97.2),
    56: (853_018, 125.5), 110: (1_727_962, 252.9), 1202: (19_421_274, 2_829.2),
}  # fmt: skip
IMAGENET = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
            "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"]  # fmt: skip


def table_of(name, side=None):
    side = side or default_input_size(name)
    return layer_table(name, (3, side, side))


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_counts_are_torchvisions(name):
    meta = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    table = table_of(name)
    assert table.total_params == meta["num_params"]
    assert round(table.total_macs / 1e9, 3) == meta["_ops"]


@pytest.mark.parametrize(("layers", "expected"), CIFAR.items())
def test_cifar_counts(layers, expected):
    table = table_of(f"resnet{layers}")
    assert (table.total_params, round(table.total_macs / 1e6, 1)) == expected
    assert table.named_layers == layers
    if layers != 1202:
        plain = table_of(f"plain{layers}")
        assert (plain.total_params, plain.total_macs) == (table.total_params, table.total_macs)


def test_tutorial_counts():
    table = layer_table("tutorial_resnet50", (3, 32, 32))
    assert (table.total_params, table.total_macs) == (35_374_474, 108_597_248)


def test_rows_are_in_execution_order_with_their_sizes():
    rows = table_of("resnet18").rows
    assert [row.path for row in rows[:4]] == ["conv1", "bn1", "relu", "maxpool"]
    assert rows[-1].path == "fc"
    conv = rows[0]
    assert (conv.input_shape, conv.output_shape) == ((3, 224, 224), (64, 112, 112))
    assert (conv.kernel, conv.stride, conv.padding, conv.groups) == ((7, 7), (2, 2), (3, 3), 1)
    assert conv.macs == 7 * 7 * 3 * 64 * 112 * 112
    pool = rows[3]
    assert (pool.kernel, pool.stride, pool.padding, pool.macs) == ((3, 3), (2, 2), (1, 1), 0)
    projection = next(row for row in rows if row.path == "layer2.0.downsample.0")
    assert (projection.stage, projection.block, projection.is_shortcut) == (2, 0, True)
    assert (rows[-1].stage, rows[-1].is_shortcut) == (None, False)


def test_padding_shortcuts_are_rows_and_placeholders_are_not():
    table = table_of("resnet20")
    pads = [row for row in table.rows if row.type == "PadShortcut"]
    assert [(row.stride, row.input_shape, row.output_shape) for row in pads] == [
        ((2, 2), (16, 32, 32), (32, 16, 16)),
        ((2, 2), (32, 16, 16), (64, 8, 8)),
    ]
    assert "Identity" not in {row.type for row in table.rows}


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "tutorial_resnet50"]
)
def test_named_layers_are_the_number_in_the_name(name):
    table = table_of(name)
    assert f"resnet{table.named_layers}" in name
    assert table.weight_layers - table.named_layers == {"tutorial_resnet50": 10}.get(
        name, 3 if name in ("resnet18", "resnet34") else 4
    )


def test_weight_bytes_follow_the_parameters_own_type():
    assert table_of("resnet18").weight_bytes == 4 * 11_689_512
    assert layer_table(create_model("resnet20").half(), (3, 32, 32)).weight_bytes == 2 * 269_722


def test_nothing_is_computed_and_no_memory_taken():
    class OnlyMeta(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            assert not isinstance(result, torch.Tensor) or result.is_meta
            return result

    model = create_model("resnet20")
    with OnlyMeta():
        layer_table(get_spec("resnet20").replace(name="never seen before"), (3, 32, 32))
        layer_table(model, (3, 32, 32))


def test_a_net_is_traced_once_for_each_spec_and_size():
    assert table_of("resnet20") is table_of("resnet20")
    assert layer_table(get_spec("resnet20").replace(width=32), (3, 32, 32)).name == "resnet20"
    assert layer_table(get_spec("resnet20").replace(width=32), (3, 32, 32)) != table_of("resnet20")


def state_of(model):
    modules = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    return modules, [(id(p), p.requires_grad) for p in model.parameters()]


def test_anyones_module_is_read_and_left_as_it_was():
    model = torchvision.models.resnet18()
    model.layer1.eval()
    model.fc.weight.requires_grad_(False)
    before, tensors = state_of(model), {k: v.clone() for k, v in model.state_dict().items()}
    table = layer_table(model)
    assert (table.name, table.total_params, table.total_macs) == ("ResNet", 11_689_512, 1_814_073_344)
    assert state_of(model) == before
    assert all(torch.equal(tensors[k], v) for k, v in model.state_dict().items())


def test_after_a_failure_too():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(4, 8, 3))
    model[1].eval()
    before = state_of(model)
    with pytest.raises(
        ValueError, match=r"input of 3 × 9 × 9 .* fails at 2 \(Conv2d, input 8 × 7 × 7\): .*"
    ) as caught:
        layer_table(model, (3, 9, 9))
    assert "\n" not in str(caught.value)
    assert state_of(model) == before


def test_a_map_that_shrinks_to_nothing_names_its_layer():
    with pytest.raises(ValueError, match=r"fails at 1 \(Conv2d, input 4 × 2 × 2\)"):
        layer_table(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), (3, 4, 4))


@pytest.mark.parametrize("side", [1, 8, 1024])
def test_tiny_and_large_images_pass(side):
    last_map = next(r for r in layer_table("resnet18", (3, side, side)).rows if r.type == "AdaptiveAvgPool2d")
    assert last_map.input_shape == (512, max(side // 32, 1), max(side // 32, 1))


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((3, 0, 32), "0 × 32; a side may be from 1 to 1,024"),
        ((3, 32, 1025), "32 × 1,025; a side may be"),
        ((32, 32), "three whole numbers"),
        ((3, 32.0, 32), "three whole numbers"),
        ((1, 32, 32), r"fails at conv1 \(Conv2d, input 1 × 32 × 32\)"),
    ],
)
def test_impossible_sizes(size, sentence):
    with pytest.raises(ValueError, match=sentence):
        layer_table("resnet20", size)


def test_unknown_variant():
    with pytest.raises(ValueError, match="variant is 'resnet51'"):
        layer_table("resnet51")


class Reused(nn.Module):
    """One convolution used twice, one tied to it, one never called, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.tied = nn.Conv2d(3, 3, 3, padding="same", bias=False)
        self.tied.weight = self.conv.weight
        self.idle = nn.Linear(5, 7)
        self.scale = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x):
        return self.tied(self.conv(self.conv(x))) * self.scale


def test_parameters_count_once_and_calls_count_each():
    model = Reused()
    table = layer_table(model, (3, 4, 4))
    assert table.total_params == sum(p.numel() for p in model.parameters())
    calls = [(row.path, row.params, row.macs) for row in table.rows]
    macs = 3 * 3 * 9 * 16
    assert calls == [
        ("conv", 84, macs), ("conv", 0, macs), ("tied", 0, macs), ("", 0, 0), ("", 3, 0), ("idle", 42, 0)
    ]  # fmt: skip
    assert table.rows[2].padding == "same"
    assert (table.rows[3].type, table.rows[3].is_function) == ("mul", True)
    assert (table.rows[5].input_shape, table.rows[5].output_shape) == ((), ())


class Functional(nn.Module):
    """Convolution, ReLU, pool and product as functions: a net that hooks alone do not see."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.matrix = nn.Parameter(torch.randn(4, 5))

    def forward(self, x):
        x = nn.functional.relu(nn.functional.conv2d(x, self.kernel, padding=1))
        x += x.sigmoid()
        return nn.functional.adaptive_avg_pool2d(x, 1).flatten(1) @ self.matrix


def test_calls_that_no_hook_sees_are_rows():
    table = layer_table(Functional(), (3, 8, 8))
    assert [row.type for row in table.rows if row.is_function] == [
        "conv2d", "relu", "sigmoid", "add", "adaptive_avg_pool2d", "matmul"
    ]  # fmt: skip
    assert table.total_macs == 4 * 3 * 9 * 64 + 4 * 5
    assert table.total_params == 4 * 3 * 9 + 4 * 5
    assert table.rows[0].key == ".conv2d()"
    assert table.rows[0].receptive_field == ()  # not known, and not guessed


class OwnConv(nn.Conv2d):
    """A subclass: its convolution is seen as a function, and must not count twice."""


class Tries(nn.Module):
    """A net that catches an error inside, and goes on."""

    def __init__(self):
        super().__init__()
        self.wrong, self.right = nn.Conv2d(5, 5, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        with contextlib.suppress(RuntimeError):
            self.wrong(x)
        x = self.right(x).flatten(1)
        return x @ x.transpose(0, 1)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(OwnConv(3, 4, 3), nn.ReLU()),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), nn.ReLU()),
        Tries(),
    ],
    ids=["subclass", "weight norm", "caught error"],
)
def test_products_count_once(model):
    table = layer_table(model, (3, 9, 9))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 9, 9))
    assert 2 * table.total_macs == counter.get_total_flops()
    assert table.total_params == sum(p.numel() for p in model.parameters())


def test_layers_with_another_axis_for_the_batch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.line, self.up = nn.Linear(3, 8), nn.ConvTranspose2d(3, 4, 2)

        def forward(self, x):
            return self.line(x.permute(0, 2, 3, 1).reshape(-1, 3)).sum() + self.up(input=x).sum()

    table = layer_table(Net(), (3, 16, 16))
    assert table.total_macs == 256 * 3 * 8 + 256 * 3 * 4 * 4


def test_the_mode_of_the_caller_does_not_matter():
    spec = get_spec("resnet20").replace(name="for this test")
    with torch.inference_mode():
        table = layer_table(spec, (3, 32, 32))
    assert table.activation_bytes() == table_of("resnet20").activation_bytes() > 0
    torch.set_default_dtype(torch.float64)
    try:
        assert layer_table(spec.replace(width=8), (3, 32, 32)).weight_bytes == 4 * 68_050
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_window_that_is_not_understood_has_no_field():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fold = nn.Unfold(3)

        def forward(self, x):
            return self.fold(x)

    assert layer_table(Net(), (3, 9, 9)).rows[0].receptive_field == ()


def test_a_function_that_fails_is_named():
    class Wrong(nn.Module):
        def forward(self, x):
            return nn.functional.relu(x) @ torch.ones(7, device=x.device)

    with pytest.raises(ValueError, match=r"fails at matmul\(\) in the net: size mismatch"):
        layer_table(Wrong(), (3, 8, 8))


@pytest.mark.parametrize(
    "name", ["densenet121", "mobilenet_v3_small", "vit_b_16", "googlenet", "convnext_tiny", "swin_t"]
)
def test_nets_of_torchvision_that_are_no_resnets(name):
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None).eval()
    table = layer_table(model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert table.total_params == sum(p.numel() for p in model.parameters())
    assert 2 * table.total_macs == counter.get_total_flops()


def test_the_addition_of_a_block_is_a_row():
    rows = [row for row in table_of("resnet20").rows if row.is_function]
    assert [(row.key, row.type) for row in rows[:2]] == [("layer1.0.add()", "add"), ("layer1.1.add()", "add")]
    assert len(rows) == 9
    assert not [row for row in table_of("plain20").rows if row.is_function]


def test_transposed_and_one_dimensional_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
            self.line = nn.Conv1d(6, 8, 5)
            self.pool = nn.MaxPool1d(3)

        def forward(self, x):
            return self.pool(self.line(self.up(x).flatten(2)))

    table = layer_table(Net(), (4, 5, 5))
    with FlopCounterMode(display=False) as counter:
        Net()(torch.zeros(1, 4, 5, 5))
    assert 2 * table.total_macs == counter.get_total_flops()
    assert [row.kernel for row in table.rows] == [(3, 3), (5,), (3,)]
    assert table.rows[2].stride == (3,)


def test_dilated_and_grouped_specs():
    spec = ModelSpec(
        "dilated", (1, 3, 1), (1, 1), groups=2, width_per_group=32, dilation=(True,), norm="group"
    )
    rows = {row.path: row for row in layer_table(spec, (3, 32, 32)).rows}
    assert rows["layer2.0.conv2"].groups == 2
    assert rows["layer2.0.conv2"].output_shape[1:] == (8, 8)
    assert rows["layer1.0.bn1"].type == "GroupNorm"


def test_nets_beside_one_of_the_longest_name_have_names_that_can_be():
    spec = get_spec("resnet20").replace(name="x" * 200, width=8)
    twin = twin_of(spec)
    assert len(twin.name) == 200
    assert twin.name.endswith("x without shortcuts")
    assert neighbours(spec)
