"""The written file against the net that it is written from: the same weights in, the same bits out."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_lab.inspection.export.source import standalone_source
from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.models import VARIANTS, ModelSpec, ResNet

ROOT = Path(__file__).parents[3]
HOSTILE = "a\"\"\"\nraise SystemExit\n'''\\ {0} {spec} \u202e %s \x00 # type: ignore\\"
BOTTLENECK = (1, 3, 1)
BLOCKS = ((3, 3), BOTTLENECK, (3, 1), (1, 3), (3, 1, 1), (3, 1, 3))
MARKS = ((), (1,), (1, 2))


def small(**fields) -> ModelSpec:
    return ModelSpec(**{"blocks": (2, 2, 3), "width": 8, "stem": "cifar", "num_classes": 5, **fields})


CUSTOM = {
    **{f"block {block}": small(block=block) for block in BLOCKS},
    **{f"preactivation {block}": small(block=block, preactivation=True) for block in BLOCKS[::2]},
    "deep stem": small(stem="deep"),
    "deep stem, no norm": small(stem="deep", norm="none", width=1),
    "group norm": small(norm="group", width=24, block=BOTTLENECK),
    "group norm, preactivation": small(norm="group", stem="deep", preactivation=True),
    "no norm": small(norm="none", zero_init_residual=True),
    "no norm, preactivation": small(norm="none", preactivation=True, zero_init_residual=True),
    "dilation": small(block=BOTTLENECK, dilation=(False, True), groups=2, stem="imagenet"),
    "dilation everywhere": small(block=BOTTLENECK, dilation=(True, True), shortcut="pad"),
    "dilation and marks": small(block=BOTTLENECK, dilation=(False, True), groups=32, extra_projections=MARKS),
    "pad, bottleneck": small(block=BOTTLENECK, shortcut="pad"),
    "pad, odd width": small(shortcut="pad", width=5, extra_projections=MARKS),
    "pad, preactivation": small(shortcut="pad", preactivation=True),
    "pad, preactivation, marks": small(shortcut="pad", preactivation=True, extra_projections=MARKS),
    "projection_all": small(shortcut="projection_all"),
    "projection_all, preactivation": small(shortcut="projection_all", preactivation=True),
    "plain": small(shortcut="none", extra_projections=MARKS, zero_init_residual=True),
    "plain, preactivation": small(shortcut="none", preactivation=True, stem="deep"),
    "one stage": small(blocks=(3,)),
    "one stage, preactivation": small(blocks=(1,), preactivation=True, norm="group"),
    "one stage, padded": small(blocks=(2,), block=BOTTLENECK, shortcut="pad"),
    "six stages": small(blocks=(1, 1, 1, 1, 1, 2)),
    "groups": small(block=BOTTLENECK, groups=4, width_per_group=16),
    "bias and zeros": small(conv_bias=True, zero_init_residual=True, stem="imagenet"),
    "zeros, preactivation": small(zero_init_residual=True, preactivation=True, stem="imagenet"),
    "marks": small(extra_projections=MARKS),
    "marks, preactivation": small(extra_projections=MARKS, preactivation=True, stem="tutorial"),
    "weighed": small(shortcut_scale=(1, 0.3, 0), residual_scale=0.7),
    "weighed, preactivation": small(shortcut_scale=0.3, preactivation=True, shortcut="pad", block=BOTTLENECK),
    "ReZero": small(learned_scale=True, residual_scale=0),
    "exclusive gates": small(join="exclusive_gate", gate_bias=-2, shortcut="pad", norm="group"),
    "shortcut gates": small(join="shortcut_gate", shortcut_scale=0.3, shortcut="projection_all"),
    "dropout": small(join="dropout", shortcut="pad", preactivation=True),
    "stochastic depth": small(join="stochastic_depth", shortcut="pad", learned_scale=True),
    "hostile name": small(name=HOSTILE),
    "no name": small(name="\n"),
    "wide letters": small(name="残差" * 50, preactivation=True, shortcut="none"),
}
# At their full size only where that is quick; the others are compared at it on the meta device.
NARROW = {
    name: spec.replace(width=16) if spec.width == 64 and name != "resnet18" else spec
    for name, spec in VARIANTS.items()
    if name != "resnet1202"
}
NETS = {**NARROW, **CUSTOM}
UNWEIGHED = {"join": "sum", "shortcut_scale": (1.0,), "residual_scale": (1.0,), "learned_scale": False}
SIDES = {"resnet18": 64, "dilation": 64, "deep stem": 64, "tutorial_resnet50": 64}


@cache
def source(spec: ModelSpec, side: int = 32) -> str:
    return standalone_source(spec, (3, side, side))


def build(text: str, name: str = "written") -> nn.Module | None:
    """The net of a written file, which finds no resnet_lab."""
    hidden = [name for name in sys.modules if name.split(".")[0] == "resnet_lab"]
    space: dict = {"__name__": name}
    with pytest.MonkeyPatch.context() as patch:
        for module in hidden:
            patch.setitem(sys.modules, module, None)  # an import of it raises ImportError
        exec(compile(text, "written.py", "exec"), space)
        return space["ResNet" if "ResNet" in space else "PlainNet"]()


def randomize_norms(model: nn.Module) -> None:
    """Fresh norms would hide a wrong order of layers."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)


def shapes(model: nn.Module) -> dict:
    return {key: tensor.shape for key, tensor in model.state_dict().items()}


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    mine, others = ours.state_dict(), theirs.state_dict()
    return mine.keys() == others.keys() and all(torch.equal(mine[key], others[key]) for key in mine)


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name] not in NETS.values()])
def test_keys_and_shapes_at_full_size(name, monkeypatch):
    monkeypatch.setattr(nn.init, "kaiming_normal_", lambda *args, **options: None)  # slow on the meta device
    with torch.device("meta"):
        assert shapes(build(source(VARIANTS[name]))) == shapes(ResNet(VARIANTS[name]))


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_logits_are_the_same_bits(name):
    spec, side = NETS[name], SIDES.get(name, 32)
    torch.manual_seed(0)
    theirs, ours = ResNet(spec), build(source(spec, side))
    randomize_norms(theirs)
    assert not same(ours, theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, side, side)
    for mode in (False, True):
        expected, got = theirs.train(mode)(x), ours.train(mode)(x)
        assert expected.isfinite().all()
        assert expected.std() > 0
        assert torch.equal(got, expected)
    assert same(ours, theirs)  # the running statistics that training moved


@pytest.mark.parametrize("name", CUSTOM)
def test_a_seed_gives_the_same_start(name):
    torch.manual_seed(3)
    theirs = ResNet(NETS[name])
    torch.manual_seed(3)
    assert same(build(source(NETS[name])), theirs)


def test_the_start_is_kaiming_fan_out():
    torch.manual_seed(0)
    conv = build(source(small(block=BOTTLENECK, width=64, conv_bias=True))).layer3[0].conv2
    assert conv.weight.shape == (256, 256, 3, 3)
    assert conv.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("early", [False, True])
def test_zero_init_is_of_the_last_norm_alone(early):
    model = build(source(small(block=BOTTLENECK, zero_init_residual=True, preactivation=early)))
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    zero = {name for name, norm in norms.items() if not norm.weight.any()}
    assert zero == {name for name in norms if name.endswith(".bn3")}


def test_the_deepest_net_is_a_short_file():
    assert source(VARIANTS["resnet1202"]).count("\n") < 150
    sizes = {name: source(spec).count("\n") for name, spec in NETS.items()}
    added = {name for name, spec in NETS.items() if spec == spec.replace(**UNWEIGHED)}
    assert max(sizes[name] for name in added) < 165
    assert max(sizes.values()) < 205  # a gate is three classes more


def test_a_file_imports_torch_and_the_standard_library_alone():
    roots = set()
    for spec in NETS.values():
        for node in ast.walk(ast.parse(source(spec))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots.add(node.module.split(".")[0])
    assert roots - sys.stdlib_module_names == {"torch"}


@pytest.mark.parametrize("name", NETS)
def test_a_file_holds_nothing_that_its_net_does_not_need(name):
    """Every function and class is used, and every argument in it."""
    tree = ast.parse(source(NETS[name]))
    used = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and node.col_offset == 0):
            assert node.name in used
        if isinstance(node, ast.FunctionDef):
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            assert {argument.arg for argument in node.args.args} <= names | {"self"}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    read = {node.attr for node in attributes if isinstance(node.ctx, ast.Load)}
    assert {node.attr for node in attributes if isinstance(node.ctx, ast.Store)} <= read


@pytest.mark.parametrize(
    ("name", "present", "absent"),
    [
        ("resnet18", ["class BasicBlock", "BasicBlock(64, 64)"], ["Bottleneck", "Pad", "partial", "PreAct"]),
        (
            "resnext50_32x4d",
            ["partial(Bottleneck, groups=32)", "block(256, 128, 256)"],
            ["BasicBlock", "Pad"],
        ),
        ("plain34", ["class PlainNet", "partial(BasicBlock, plain=True)"], ["projection", "PadShortcut"]),
        ("resnet20", ["F.pad", "downsample=PadShortcut(16, 32, stride=2)"], ["projection", "maxpool"]),
        ("preact_resnet20", ["activated", "self.bn_last(x)"], ["self.bn1 = nn.BatchNorm2d(16)\n"]),
        ("tutorial_resnet50", ["block(512, 128, 512, downsample=project(512, 512))"], ["bias=False)\n"]),
    ],
)
def test_a_file_says_what_is_special(name, present, absent):
    text = source(VARIANTS[name])
    assert [words for words in present if words not in text] == []
    assert [words for words in absent if words in text] == []


@pytest.mark.parametrize("name", ["resnet18", "tutorial_resnet50", "preact_resnet164", "deep stem"])
def test_the_docstring_and_the_comments_tell_the_truth(name):
    spec, side = {**VARIANTS, **CUSTOM}[name], 96
    text = source(spec, side)
    table = layer_table(spec, (3, side, side))
    doc = ast.get_docstring(ast.parse(text))
    assert f"net of {table.named_layers} layers." in doc
    assert f"{table.total_params:,} parameters; {table.total_macs:,} multiply-accumulates" in doc
    seen: dict[str, tuple] = {}
    with torch.device("meta"):
        model = build(text)
        for child, module in model.named_children():
            module.register_forward_hook(
                lambda *call, child=child: seen.update({child: tuple(call[2].shape[1:])})
            )
        model(torch.empty(2, 3, side, side))
    said = re.findall(r"self\.(\w+)\(.*  # \(B, ([\d, ]+)\)", text)
    assert len(said) == len(spec.blocks) + (3 if spec.stem == "cifar" else 4)
    for child, sizes in said:
        assert [*seen[child], 1, 1][: len(seen[child])] == [*map(int, sizes.split(", ")), 1, 1][
            : len(seen[child])
        ]


def test_a_block_is_the_labs_own():
    for name in ("resnet50", "preact_resnet20", "plain20"):
        tree = ast.parse(source(VARIANTS[name]))
        with torch.device("meta"):
            block = type(ResNet(VARIANTS[name]).layer1[0])
        written = next(node for node in tree.body if getattr(node, "name", "") == block.__name__)
        assert ast.unparse(written) == ast.unparse(ast.parse(inspect.getsource(block)))


def test_a_name_stays_a_name():
    for name in (HOSTILE, '"', "\\", "\u2028", '"""', "'" * 9, "{table.name}", ""):
        tree = ast.parse(source(small(name=name)))
        kinds = {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef, ast.If}
        assert {type(node) for node in tree.body} == kinds
        assert sum(isinstance(node, ast.Expr) for node in tree.body) == 1
        assert ": a residual net of 16 layers." in ast.get_docstring(tree)


def test_the_file_runs_as_a_script(capsys):
    build(source(VARIANTS["resnet20"]), name="__main__")
    assert capsys.readouterr().out == "269,722 parameters\nlogits: (1, 10)\n"


def test_an_impossible_size_is_refused():
    with pytest.raises(ValueError, match="side"):
        standalone_source(VARIANTS["resnet18"], (3, 0, 32))


def test_the_files_are_as_ruff_would_have_them(tmp_path):
    pytest.importorskip("ruff")
    for number, spec in enumerate(NETS.values()):
        (tmp_path / f"net_{number}.py").write_text(source(spec), encoding="utf-8")
    for command in (["check"], ["format", "--check", "--diff"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--no-cache",
            "--config",
            ROOT / "pyproject.toml",
            tmp_path,
        ]
        result = subprocess.run(ruff, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
