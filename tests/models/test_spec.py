import math

import pytest
import torch
import torchvision
from torch import nn

from resnet_lab.models import VARIANTS, ModelSpec, create_model
from resnet_lab.models.blocks import PadShortcut


@pytest.mark.parametrize("name", VARIANTS)
def test_json_round_trip(name):
    spec = VARIANTS[name]
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert hash(ModelSpec.from_json(spec.to_json())) == hash(spec)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"shortcut": "wormhole"}, "shortcut"),
        ({"stem": "big"}, "stem"),
        ({"norm": "layer"}, "norm"),
        ({"block": (5, 5)}, "block"),
        ({"blocks": ()}, "blocks"),
        ({"blocks": (0, 1)}, "blocks"),
        ({"blocks": (1_000_000,)}, "blocks"),
        ({"width": 0}, "width"),
        ({"num_classes": 0}, "num_classes"),
        ({"groups": 2}, "groups"),
        ({"width_per_group": 128}, "width_per_group"),
        ({"dilation": (False, True, True)}, "dilation"),
        ({"dilation": (True,), "block": (1, 3, 1)}, "dilation"),
        ({"block": (1, 3, 1), "width": 1, "width_per_group": 1}, "width_per_group"),
        ({"extra_projections": ((0,),)}, "extra_projections"),
        ({"extra_projections": ((2,), (), (), ())}, "extra_projections"),
        ({"extra_projections": (1, 2, 3, 4)}, "extra_projections"),
        ({"extra_projections": 3}, "extra_projections"),
        ({"dilation": True}, "dilation"),
        ({"dilation": (0, 1, 0), "block": (1, 3, 1)}, "dilation"),
        ({"block": 3}, "block"),
        ({"blocks": 3}, "blocks"),
        ({"name": 5}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"block": (3.0, 3.0)}, "block"),
        ({"block": (1, 3, True)}, "block"),
        ({"blocks": (1,) * 100_000}, "blocks"),
        ({"blocks": (10**10,)}, "blocks"),
        ({"preactivation": "yes"}, "preactivation"),
        ({"width": True}, "width"),
        ({"norm": ["batch"]}, "norm"),
        ({"shortcut_scale": math.nan}, "shortcut_scale"),
        ({"shortcut_scale": (1, math.inf, 1, 1)}, "shortcut_scale"),
        ({"shortcut_scale": -0.1}, "shortcut_scale"),
        ({"shortcut_scale": 2.1}, "shortcut_scale"),
        ({"shortcut_scale": True}, "shortcut_scale"),
        ({"shortcut_scale": ()}, "shortcut_scale"),
        ({"shortcut_scale": (1, 0, 1)}, "shortcut_scale"),  # of 4 stages and 8 blocks
        ({"residual_scale": (1,) * 9}, "residual_scale"),
        ({"residual_scale": "half"}, "residual_scale"),
        ({"join": "gate"}, "join"),
        ({"gate_bias": math.inf}, "gate_bias"),
        ({"drop_rate": 1}, "drop_rate"),
        ({"shortcut": "none", "shortcut_scale": 0.5}, "shortcut_scale"),
        ({"shortcut": "none", "join": "shortcut_gate"}, "join"),
        ({"shortcut": "none", "learned_scale": True}, "learned_scale"),
    ],
)
def test_impossible_specs_name_the_field(fields, named):
    with pytest.raises(ValueError, match=rf"^{named} (is|has|adds)") as caught:
        ModelSpec(**fields)
    assert len(str(caught.value)) < 400


def test_unknown_field_and_foreign_json():
    with pytest.raises(ValueError, match="unknown field 'layers'"):
        ModelSpec.from_dict({"layers": 3})
    with pytest.raises(ValueError, match="not JSON"):
        ModelSpec.from_json("{")
    with pytest.raises(ValueError, match="got list"):
        ModelSpec.from_json("[1]")
    with pytest.raises(ValueError, match="not JSON"):
        ModelSpec.from_json("[" * 100_000)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"groups": 2}, {"groups": 2}),
        ({"width_per_group": 128}, {"width_per_group": 128}),
        ({"dilation": (False, False, True)}, {"replace_stride_with_dilation": [False, False, True]}),
        ({"dilation": (True, True)}, {"replace_stride_with_dilation": [True, True]}),
    ],
)
def test_refuses_what_torchvision_refuses(ours, theirs):
    with pytest.raises((ValueError, NotImplementedError)):
        torchvision.models.resnet18(**theirs)
    with pytest.raises(ValueError, match=r"may be|only|empty or has"):
        create_model("resnet18", **ours)


def test_unknown_variant_lists_the_choices():
    with pytest.raises(ValueError, match="it may be resnet18"):
        create_model("resnet19")


@pytest.mark.parametrize(
    "spec",
    [
        *(VARIANTS[name] for name in VARIANTS if name != "resnet1202"),
        ModelSpec("dilated", (1, 3, 1), (2, 2, 3), groups=2, dilation=(False, True)),
        ModelSpec("C", (1, 3), (2, 1), shortcut="projection_all", preactivation=True),
        ModelSpec("marked", (3, 1, 3), (2, 2), shortcut="pad", extra_projections=((1,), ())),
        ModelSpec(
            "weighed", (3, 3), (2, 1), shortcut="pad", shortcut_scale=(0.5, 1, 0), residual_scale=(1, 0.5)
        ),
    ],
    ids=lambda spec: spec.name,
)
def test_block_shapes_are_those_of_the_net(spec):
    kinds = {
        PadShortcut: "pad",
        nn.Sequential: "projection",
        type(None): "none" if spec.is_plain else "identity",
    }
    with torch.device("meta"):
        model = create_model(spec)
    assert [shape.name for shape in spec.block_shapes()] == [
        f"layer{stage}.{i}" for stage, count in enumerate(spec.blocks, 1) for i in range(count)
    ]
    for shape in spec.block_shapes():
        block = model.get_submodule(shape.name)
        convs = [m for name, m in block.named_children() if name.startswith("conv")]
        assert (convs[0].in_channels, convs[0].out_channels) == (shape.inputs, shape.inner)
        assert convs[-1].out_channels == shape.outputs
        assert math.prod(conv.stride[0] for conv in convs) == shape.stride
        assert max(conv.dilation[0] for conv in convs) == shape.dilation
        assert max(conv.groups for conv in convs) == shape.groups
        assert kinds[type(block.downsample)] == shape.shortcut
        scales = (block.join.shortcut_scale, block.join.residual_scale) if block.join else (1, 1)
        assert scales == (shape.shortcut_scale, shape.residual_scale)
