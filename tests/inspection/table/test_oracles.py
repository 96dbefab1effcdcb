"""Every number of the layer table against what others count: torch's FLOP counter, torchinfo, autograd."""

import pytest
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_lab.inspection import layer_table
from resnet_lab.models import VARIANTS, ModelSpec, ResNet, create_model, default_input_size, get_spec

SIDES = (32, 33, 97, 224, 225)


def sides(name):
    """Of a net of a hundred layers or more, which takes seconds, two: an odd and an even one."""
    return SIDES[1:5:2] if sum(get_spec(name).blocks) > 32 else SIDES


JOINED = [
    VARIANTS["resnet20"].replace(name="weighed", shortcut_scale=0.5, residual_scale=0.5),
    VARIANTS["resnet20"].replace(name="exclusive gates", join="exclusive_gate"),
    VARIANTS["preact_resnet20"].replace(
        name="shortcut gates", join="shortcut_gate", shortcut_scale=(1, 0.3, 0)
    ),
    VARIANTS["resnet18"].replace(name="gated projections", join="exclusive_gate", shortcut="projection_all"),
    VARIANTS["resnet50"].replace(name="ReZero", learned_scale=True, residual_scale=0),
    VARIANTS["resnet20"].replace(name="dropout", join="dropout"),
]


def on_meta(spec):
    with torch.device("meta"):
        return create_model(spec).eval()


def modules_only(table):
    return [row for row in table.rows if not row.is_function]


@pytest.mark.parametrize("name", [*VARIANTS, *JOINED], ids=str)
def test_every_layer_equals_torchs_flop_counter(name):
    model = on_meta(name)
    for side in sides(name):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, side, side, device="meta"))
        counted = {path: sum(ops.values()) for path, ops in counter.get_flop_counts().items()}
        table = layer_table(name, (3, side, side))
        assert 2 * table.total_macs == counted["Global"]
        for row in modules_only(table):
            assert 2 * row.macs == counted.get(f"ResNet.{row.path}", 0), (side, row.path)


def read_by_torchinfo(model, side):
    """path → (input shape, output shape, parameters, MACs), of the layers that are leaves."""
    image = torch.empty(1, 3, side, side, device="meta")
    summary = torchinfo.summary(model, input_data=image, device="meta", depth=10, verbose=0)
    paths = {id(module): path for path, module in model.named_modules()}
    found = {}
    for info in summary.summary_list:
        if info.is_leaf_layer and not isinstance(info.module, nn.Identity):
            shapes = tuple(info.input_size[1:]), tuple(info.output_size[1:])
            found[paths[id(info.module)]] = (*shapes, info.num_params, info.macs)
    return found, summary


@pytest.mark.parametrize("name", [*VARIANTS, *JOINED], ids=str)
def test_every_layer_equals_torchinfos(name):
    model = on_meta(name)
    for side in sides(name):
        table = layer_table(name, (3, side, side))
        found, summary = read_by_torchinfo(model, side)
        assert summary.total_params == table.total_params
        assert summary.trainable_params == table.trainable_params
        rows = {row.path: row for row in modules_only(table)}
        assert rows.keys() == found.keys()
        for path, (shape_in, shape_out, params, macs) in found.items():
            row = rows[path]
            assert (row.input_shape, row.output_shape, row.params) == (shape_in, shape_out, params), path
            if row.macs:  # torchinfo counts a norm's parameters as MACs, and a bias as a multiplication
                bias = row.output_shape[0] if row.bias else 0
                positions = row.output_shape[1] * row.output_shape[2] if len(row.output_shape) == 3 else 1
                assert row.macs == macs - bias * positions, path


FOLDED = [
    ModelSpec("odd", (1, 3, 1), (1, 5, 4), width=8, extra_projections=((), (2, 4), (1,)), stem="cifar"),
    ModelSpec("dilated", (1, 3, 1), (3, 4, 3), width=8, groups=2, dilation=(True, True), norm="group"),
    ModelSpec("six", (3, 1, 3), (1, 2, 3, 1, 2, 4), width=4, stem="deep", preactivation=True),
    ModelSpec("everywhere", (3, 3), (4, 3), width=8, shortcut="projection_all"),
    ModelSpec(
        "some cut", (3, 3), (4, 3), width=8, shortcut_scale=(1, 0.5, 1, 0, 0.2, 0.2, 1), join="shortcut_gate"
    ),
    ModelSpec(
        "some weighed", (3, 3), (4, 3), width=8, shortcut_scale=(1, 0.5, 1, 0, 0.2, 0.2, 1), shortcut="pad"
    ),
    ModelSpec("plain", (3, 1), (5,), width=8, shortcut="none", norm="none", conv_bias=True),
]


@pytest.mark.parametrize("name", [*VARIANTS, *FOLDED], ids=str)
def test_a_table_of_equal_blocks_is_the_table_of_the_whole_net(name):
    """Of a name only the blocks that differ are run, of a module all."""
    side = default_input_size(name) + 1
    assert layer_table(name, (3, side, side)) == layer_table(on_meta(name), (3, side, side))


NARROW = {
    "basic, B": ModelSpec(block=(3, 3), blocks=(2, 1), width=4),
    "option A": ModelSpec(block=(3, 3), blocks=(2, 2, 2), width=4, stem="cifar", shortcut="pad"),
    "plain": ModelSpec(block=(3, 3), blocks=(1, 2), width=4, stem="cifar", shortcut="none"),
    "pre-activation": ModelSpec(blocks=(1, 2), width=4, stem="cifar", preactivation=True),
    "dilated": ModelSpec(block=(1, 3, 1), blocks=(1, 2, 2), width=4, stem="cifar", dilation=(False, True)),
    "deep stem": ModelSpec(block=(3, 1, 3), blocks=(1, 1), width=4, stem="deep"),
}


@pytest.mark.parametrize("kind", NARROW)
def test_receptive_fields_equal_those_of_the_gradient(kind):
    """A value in the middle of a map gets its gradient from a window of just that side."""
    model = ResNet(NARROW[kind].replace(num_classes=2)).double().eval()
    for p in model.parameters():
        nn.init.uniform_(p, 0.5, 1.5)  # positive, so that no ReLU is closed and no gradient cancels
    if isinstance(model.maxpool, nn.MaxPool2d):
        model.maxpool = nn.AvgPool2d(3, 2, 1)  # the same window; a maximum has one gradient at a time
    side = 129
    table = layer_table(model, (3, side, side))
    rows = {row.path: row for row in modules_only(table) if len(row.output_shape) == 3}
    outputs = {}
    for path, module in model.named_modules():
        if path in rows:
            module.register_forward_hook(lambda _m, _i, out, path=path: outputs.update({path: out}))
    image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    model(image)
    checked = 0
    for path, row in rows.items():
        expected = row.receptive_field
        if row.type == "AdaptiveAvgPool2d" or max(expected) > side:
            continue
        middle = outputs[path].shape[2] // 2
        windows = []
        for place in (middle, middle + 1):
            value = outputs[path][0, :, place, place].sum()
            (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
            touched = gradient[0].abs().sum(0).nonzero()
            windows.append((touched.min(0).values, touched.max(0).values))
        (low, high), (next_low, _) = windows
        assert tuple((high - low + 1).tolist()) == expected, path
        assert tuple((next_low - low).tolist()) == row.field_stride, path
        checked += 1
    assert checked >= 10


def kept_by_a_real_step(model, images):
    """Bytes that autograd really keeps, each storage once; parameters, buffers and the images excluded."""
    known = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers(), images]}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(images).sum()
    size = sum(kept.values())
    loss.backward()
    return size


@pytest.mark.parametrize(
    "spec",
    [
        "resnet20", "plain20", "preact_resnet20", "resnet18", "tutorial_resnet50", "resnext50_32x4d",
        ModelSpec("deep, group norm", (3, 1), (1, 1), width=8, stem="deep", norm="group"),
        ModelSpec("no norm", (3, 3), (2, 2), width=8, norm="none", shortcut="none"),
    ],
    ids=str,
)  # fmt: skip
def test_kept_activations_are_those_of_a_real_step(spec):
    model = create_model(spec, num_classes=10).train()
    table = layer_table(model, (3, 64, 64))
    batch = 3
    measured = kept_by_a_real_step(model, torch.randn(batch, 3, 64, 64))
    norms = sum(8 * row.output_shape[0] for row in table.rows if row.type == "BatchNorm2d")
    # BatchNorm keeps a mean and a deviation for the whole batch; the table counts them for one image.
    assert batch * table.activation_bytes() - (batch - 1) * norms == measured


def test_frozen_layers_keep_less():
    model = create_model("resnet18", num_classes=10)
    everything = layer_table(model, (3, 64, 64))
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    head = layer_table(model, (3, 64, 64))
    assert head.trainable_params == 5130
    assert head.total_params == everything.total_params
    assert head.activation_bytes() == 512 * 4 < everything.activation_bytes()
