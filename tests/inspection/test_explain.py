"""Every formula is filled in and worked out here a second time, and must come to the number of its row."""

import math
import re
from fractions import Fraction

import pytest
import torch.nn.functional as F
from torch import nn

from resnet_lab.inspection import layer_table
from resnet_lab.inspection.explain import explain
from resnet_lab.models import ModelSpec, get_spec

DILATED = ModelSpec(
    "dilated", block=(1, 3, 1), blocks=(1, 2, 2, 1), norm="group", stem="deep", groups=2, conv_bias=True,
    dilation=(False, True, True), shortcut="projection_all",
)  # fmt: skip
BARE = ModelSpec(
    "bare", block=(3, 1), blocks=(1, 2), width=24, norm="none", shortcut="pad", preactivation=True
)
PREACT = ModelSpec(
    "preact", block=(1, 3, 1), blocks=(2, 2), width=16, preactivation=True, zero_init_residual=True
)
NETS = [
    ("resnet18", (3, 97, 97)), ("resnet18", (3, 64, 97)), ("resnet50", (3, 224, 224)), ("resnet50", (3, 97, 97)),
    ("resnext50_32x4d", (3, 97, 97)), ("resnet20", (3, 32, 32)), ("preact_resnet20", (3, 32, 32)),
    ("plain20", (3, 32, 32)), ("plain50", (3, 97, 97)), ("tutorial_resnet50", (3, 97, 97)),
    (DILATED, (3, 97, 97)), (DILATED, (3, 224, 97)), (BARE, (3, 33, 33)), (PREACT, (3, 97, 97)),
]  # fmt: skip
IDS = [f"{getattr(net, 'name', net)}-{size[1]}x{size[2]}" for net, size in NETS]
TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z](?:_\{\\text\{\w+\}\}|_\w)?")
ALONE = (r"\text{count}", r"\text{bytes}", r"r_{\text{out}}", r"\text{shape}", "C", r"C \times H \times W")


def number(n):
    return f"{n:,}".replace(",", "{,}")


def worked_out(latex):
    """The value of a formula in numbers."""
    text = latex.replace("{,}", "")
    text = text.replace(r"\left\lfloor", "floor(").replace(r"\right\rfloor", ")")
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)
    text = text.replace(r"\cdot", "*").replace(r"\max", "max")
    assert "\\" not in text
    assert "{" not in text
    return eval(
        re.sub(r"\d+", r"Fraction(\g<0>)", text), {"floor": math.floor, "max": max, "Fraction": Fraction}
    )


def filled(formula, symbols):
    """The right side of a formula, with the numbers for its letters."""
    right = (
        formula.rpartition(" = ")[2].replace(r"\text{values}", "v").replace(r"\text{bytes of indices}", "i")
    )

    def put(token):
        name = re.sub(r"\{\\text\{(\w+)\}\}", r"\1", token[0])
        return name if name.startswith("\\") else number(symbols[name])

    return TOKEN.sub(put, right)


def inputs_of(table):
    """For each row, the receptive fields and strides of what goes into it, counted from the kernels."""
    image = [((1, 1), (1, 1))]
    x, before, shortcut, place, result = image, image, None, (None, None), []
    for row in table.rows:
        if (row.stage, row.block) != place:
            place, x, shortcut = (row.stage, row.block), before, None
        if row.is_function:
            result.append([*before, *(shortcut or x)])
            before = [max(result[-1])]
        else:
            result.append((shortcut or x) if row.is_shortcut else before)
            (field, jump), ones = result[-1][0], (1, 1)
            kernel, stride, dilation = row.kernel or ones, row.stride or ones, row.dilation or ones
            if row.type == "AdaptiveAvgPool2d":
                kernel = stride = row.input_shape[1:]
            grown = [r + (k - 1) * d * j for r, j, k, d in zip(field, jump, kernel, dilation, strict=True)]
            out = [(tuple(grown), tuple(j * s for j, s in zip(jump, stride, strict=True)))]
            before, shortcut = (before, out) if row.is_shortcut else (out, shortcut)
    return result


def symbols_of(row, axis, inputs):
    shape_in, shape_out = row.input_shape, row.output_shape
    symbols = {"v": row.kept_values, "i": row.kept_bytes, "g": row.groups}
    symbols |= {"C": shape_out[0], "C_in": shape_in[0], "C_out": shape_out[0]}
    for i, side in enumerate("HW", start=1):
        if len(shape_out) > 1:
            symbols |= {side: shape_in[i], f"{side}_out": shape_out[i]}
        if row.kernel:
            symbols[f"k_{side.lower()}"] = row.kernel[i - 1]
    is_map = row.type == "AdaptiveAvgPool2d"
    whole = row.input_shape[1:]
    symbols["k"] = row.kernel[axis] if row.kernel else whole[axis] if is_map else 1
    symbols["s"] = row.stride[axis] if row.stride else whole[axis] if is_map else 1
    symbols["p"] = row.padding[axis] if row.padding else 0
    symbols["d"] = row.dilation[axis] if row.dilation else 1
    symbols |= {"r_in": inputs[0][0][axis], "j_in": inputs[0][1][axis]}
    return symbols | {"r_F": inputs[0][0][axis], "r_x": inputs[-1][0][axis]}


def expected(row, quantity):
    """The row's number; of a size, those of height and width."""
    return {
        "Output size": row.output_shape[1:],
        "Receptive field": row.receptive_field,
        "Parameters": (row.params,),
        "MACs": (row.macs,),
        "Activation memory": (row.kept_values * 4 + row.kept_bytes,),
    }[quantity]


def check(row, explanation, inputs):
    """Every step with numbers; how many formulas stood in it."""
    formulas = 0
    for quantity in ("Output size", "Receptive field", "Parameters", "MACs", "Activation memory"):
        steps = [step for step in explanation.steps if step.quantity == quantity]
        numbers = expected(row, quantity)
        if r"\times" in steps[0].numbers or steps[0].formula == "C":
            assert steps[0].numbers == r" \times ".join(map(number, row.output_shape))
            continue
        assert len(steps) == 2 or len(set(numbers)) == 1
        for axis, (step, n) in enumerate(zip(steps, numbers, strict=False)):
            left, _, result = step.numbers.rpartition(" = ")
            assert result == number(n)
            assert worked_out(left or result) == n
            if step.formula not in ALONE:
                assert (left or result) == filled(step.formula, symbols_of(row, axis, inputs))
                formulas += 1
    return formulas


def rows_of(net, size, spec="its own"):
    """Explanations by key of the row."""
    table = layer_table(net, size)
    spec = get_spec(net) if spec == "its own" else spec
    return {row.key: (row, explain(row, table, spec)) for row in table.rows}


def step_of(explanation, quantity):
    return next(step for step in explanation.steps if step.quantity == quantity)


def numbers_of(net, side, key, quantity):
    return step_of(rows_of(net, (3, side, side))[key][1], quantity).numbers


@pytest.mark.parametrize(("net", "size"), NETS, ids=IDS)
def test_every_formula_comes_to_the_number_of_its_row(net, size):
    table = layer_table(net, size)
    for row, inputs in zip(table.rows, inputs_of(table), strict=True):
        formulas = check(row, explain(row, table, get_spec(net)), inputs)
        least = {"Conv2d": 4, "Linear": 3, "BatchNorm2d": 3, "GroupNorm": 3, "MaxPool2d": 3}.get(row.type, 1)
        nothing_kept = row.activation_bytes() == 0
        assert formulas >= least + (row.type == "Conv2d") - nothing_kept, row.key


@pytest.mark.parametrize(("net", "size"), NETS, ids=IDS)
def test_latex_is_balanced_and_every_step_has_a_formula(net, size):
    for row, explanation in rows_of(net, size).values():
        for step in explanation.steps:
            assert step.formula
            for latex in (step.formula, step.numbers):
                depth = 0
                for sign in re.sub(r"\\[{}]", "", latex):
                    depth += {"{": 1, "}": -1}.get(sign, 0)
                    assert depth >= 0
                assert depth == 0, latex
                assert latex.count("(") == latex.count(")")
                assert latex.count(r"\left") - latex.count(r"\left(") == latex.count(r"\right"), latex
                assert not re.search(r"[$<>]|\d,\d", latex), latex
            assert not step.note or step.note.endswith(".")
        assert explanation.title == f"{row.path}: {row.type}{'()' if row.is_function else ''}"


def test_first_convolution_of_resnet50_by_hand():
    first = r"\left\lfloor\frac{%d + 2 \cdot 3 - 7}{2}\right\rfloor + 1 = %d"
    assert numbers_of("resnet50", 224, "conv1", "Output size") == first % (224, 112)
    assert numbers_of("resnet50", 97, "conv1", "Output size") == first % (97, 49)
    assert numbers_of("resnet50", 97, "conv1", "Parameters") == r"3 \cdot 7 \cdot 7 \cdot 64 = 9{,}408"
    macs = r"49 \cdot 49 \cdot 3 \cdot 7 \cdot 7 \cdot 64 = 22{,}588{,}608"
    assert numbers_of("resnet50", 97, "conv1", "MACs") == macs
    assert numbers_of("resnet50", 97, "conv1", "Receptive field") == r"1 + (7 - 1) \cdot 1 = 7"
    assert numbers_of("resnet50", 97, "conv1", "Activation memory") == r"153{,}664 \cdot 4 = 614{,}656"


def test_biases_are_written_out_where_they_are():
    with_bias = numbers_of("tutorial_resnet50", 97, "conv1", "Parameters")
    assert with_bias == r"3 \cdot 7 \cdot 7 \cdot 64 + 64 = 9{,}472"
    rows = rows_of("tutorial_resnet50", (3, 97, 97))
    assert step_of(rows["conv1"][1], "Values").formula == "y = W * x + b"
    assert (
        numbers_of("resnet50", 97, "fc", "Parameters") == r"2{,}048 \cdot 1{,}000 + 1{,}000 = 2{,}049{,}000"
    )
    assert numbers_of("resnet50", 97, "fc", "MACs") == r"2{,}048 \cdot 1{,}000 = 2{,}048{,}000"


def test_groups_divide_the_input_channels():
    step = step_of(rows_of("resnext50_32x4d", (3, 97, 97))["layer2.0.conv2"][1], "Parameters")
    assert step.formula == r"\frac{C_{\text{in}}}{g} \cdot k_h \cdot k_w \cdot C_{\text{out}}"
    assert step.numbers == r"\frac{256}{32} \cdot 3 \cdot 3 \cdot 256 = 18{,}432"


def test_dilation_widens_the_kernel():
    explanation = rows_of(DILATED, (3, 97, 97))["layer3.1.conv2"][1]
    size = r"\left\lfloor\frac{13 + 2 \cdot 2 - 2 \cdot (3 - 1) - 1}{1}\right\rfloor + 1 = 13"
    assert step_of(explanation, "Output size").numbers == size
    assert step_of(explanation, "Receptive field").numbers == r"63 + (3 - 1) \cdot 2 \cdot 8 = 95"


def test_option_a_by_hand():
    rows = rows_of("resnet20", (3, 32, 32))
    pad = step_of(rows["layer2.0.downsample"][1], "Values")
    assert pad.numbers == "32 - 16 = 16"
    assert "one value in 2" in pad.note.lower()
    assert "8 channels of zeros come before and 8 after" in pad.note
    assert step_of(rows["layer2.0.downsample"][1], "Output size").numbers.endswith("= 16")
    add = rows["layer2.0.add()"][1]
    assert step_of(add, "Values").formula == r"y = F(x) + \text{pad}(x)"
    assert step_of(add, "Receptive field").numbers == r"\max(21, 15) = 21"
    assert "option A" in step_of(add, "Block").note


def test_additions_say_what_is_added_and_its_shape():
    rows = rows_of("resnet34", (3, 224, 224))
    same, projected = rows["layer1.0.add()"][1], rows["layer2.0.add()"][1]
    assert step_of(same, "Values").formula == "y = F(x) + x"
    step = step_of(projected, "Values")
    assert step.formula == r"y = F(x) + W_s\,x"
    shape = r"128 \times 28 \times 28"
    assert step.numbers == rf"\underbrace{{F(x)}}_{{{shape}}} + \underbrace{{W_s\,x}}_{{{shape}}}"
    assert step.note == "x is 64 × 56 × 56."
    assert step_of(projected, "Receptive field").numbers == r"\max(83, 59) = 83"
    assert step_of(projected, "Activation memory").numbers == "0"
    assert "Nothing keeps it" in step_of(projected, "Activation memory").note


def test_batch_norm_by_hand():
    explanation = rows_of("resnet20", (3, 32, 32))["layer1.0.bn1"][1]
    formula = r"y = \gamma\,\frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta"
    values, macs = step_of(explanation, "Values"), step_of(explanation, "MACs")
    assert (values.formula, values.numbers) == (formula, "")
    assert step_of(explanation, "Parameters").numbers == r"2 \cdot 16 = 32"
    assert (macs.numbers, macs.note) == (
        "0",
        "By convention, only convolutions and linear layers count.",
    )


def test_global_pool_by_hand():
    explanation = rows_of("resnet50", (3, 224, 224))["avgpool"][1]
    assert step_of(explanation, "Values").numbers == r"\frac{1}{7 \cdot 7} \sum x"
    field = step_of(explanation, "Receptive field")
    assert field.numbers == r"427 + (7 - 1) \cdot 32 = 619"
    assert "larger than the image (224 × 224): padding included" in field.note


BN, RELU = r"\text{BN}", r"\text{ReLU}"


@pytest.mark.parametrize(
    ("net", "block", "y", "residual", "source"),
    [
        ("resnet20", "layer1.0", f"{RELU}(F(x) + x)", rf"{BN}(W_2\,{RELU}({BN}(W_1\,x)))", "2015, Eq. (1)"),
        ("resnet18", "layer2.0", rf"{RELU}(F(x) + W_s\,x)", rf"{BN}(W_2\,{RELU}({BN}(W_1\,x)))", "2015, Eq. (2)"),
        ("plain20", "layer2.0", f"{RELU}(F(x))", rf"{BN}(W_2\,{RELU}({BN}(W_1\,x)))", "adds nothing"),
        ("preact_resnet20", "layer1.1", "F(x) + x", rf"W_2\,{RELU}({BN}(W_1\,{RELU}({BN}(x))))", "2016, Fig. 4e"),
        (PREACT, "layer2.0", rf"F(x) + W_s\,{RELU}({BN}(x))",
         rf"W_3\,{RELU}({BN}(W_2\,{RELU}({BN}(W_1\,{RELU}({BN}(x))))))", "2016, Fig. 4e"),
        (BARE, "layer2.0", rf"F(x) + \text{{pad}}({RELU}(x))", rf"W_2\,{RELU}(W_1\,{RELU}(x))", "option A"),
    ],
)  # fmt: skip
def test_blocks_are_written_out(net, block, y, residual, source):
    rows = rows_of(net, (3, 97, 97))
    inside = [explanation for key, (_, explanation) in rows.items() if key.startswith(f"{block}.")]
    steps = {step_of(explanation, "Block") for explanation in inside}
    assert len(inside) > 3
    assert [step.formula for step in steps] == [rf"y = {y}, \quad F(x) = {residual}"]
    assert source in steps.pop().note
    assert all(step.quantity != "Block" for step in rows["conv1"][1].steps)


def test_without_a_spec_the_addition_is_not_told():
    add = rows_of("resnet34", (3, 97, 97), spec=None)["layer2.0.add()"][1]
    assert step_of(add, "Values").formula == "y = a + b"
    assert step_of(add, "Receptive field").formula == r"r_{\text{out}}"
    assert all(step.quantity != "Block" for step in add.steps)


class Odd(nn.Module):
    """Layers that the formulas do not fit, or that the lab does not know."""

    def __init__(self):
        super().__init__()
        self.same = nn.Conv2d(3, 8, (3, 5), padding="same", dilation=2)
        self.left = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.right = nn.Conv2d(8, 8, 5, padding=2, bias=False)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.shuffle = nn.PixelShuffle(2)
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2)
        self.again = nn.Conv2d(4, 4, 1)
        self.average = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(16, 3, bias=False)
        self.unused = nn.Linear(5, 6)

    def forward(self, x):
        x = F.relu(self.same(x))
        x = self.norm(self.pool(self.left(x) + self.right(x)))
        x = self.up(self.shuffle(x))
        x = self.average(F.leaky_relu(self.again(self.again(x))))
        return self.fc(x.flatten(1))


@pytest.fixture(scope="module")
def odd():
    table = layer_table(Odd(), (3, 31, 40))
    return [(row, explain(row, table)) for row in table.rows]


def test_any_module_gets_its_own_numbers(odd):
    for row, explanation in odd:
        for step in explanation.steps:
            left, _, result = step.numbers.rpartition(" = ")
            if step.quantity == "Values" or not step.numbers:
                continue
            if r"\times" not in result:
                assert worked_out(left or result) == worked_out(result)
            if step.quantity in ("Parameters", "MACs", "Activation memory"):
                assert result == number(expected(row, step.quantity)[0])


def test_padding_same_and_unequal_sides(odd):
    same = next(explanation for row, explanation in odd if row.path == "same")
    height, width = (step for step in same.steps if step.quantity == "Output size")
    assert (
        height.numbers == r"\left\lfloor\frac{31 + 2 \cdot 2 - 2 \cdot (3 - 1) - 1}{1}\right\rfloor + 1 = 31"
    )
    assert (
        width.numbers == r"\left\lfloor\frac{40 + 2 \cdot 4 - 2 \cdot (5 - 1) - 1}{1}\right\rfloor + 1 = 40"
    )
    assert width.formula.startswith(r"W_{\text{out}} = ")
    fields = [step.numbers for step in same.steps if step.quantity == "Receptive field"]
    assert fields == [r"1 + (3 - 1) \cdot 2 \cdot 1 = 5", r"1 + (5 - 1) \cdot 2 \cdot 1 = 9"]


def test_what_is_not_known_is_said(odd):
    said = [(row.path, row.type, step_of(explanation, "Values")) for row, explanation in odd]
    unknown = {path or kind for path, kind, step in said if step.note == "No formula is known for it."}
    assert unknown == {"shuffle", "up", "leaky_relu", "average"}
    assert {path for path, _, step in said if step.note == "It is never called."} == {"unused"}
    leaky = next(step for _, kind, step in said if kind == "leaky_relu")
    assert leaky.formula == r"y = \text{leaky\_relu}(x)"


def test_formulas_that_do_not_hold_leave_the_number_alone(odd):
    by_path = {}
    for row, explanation in odd:
        by_path.setdefault(row.key, []).append(explanation)
    pool = step_of(by_path["pool"][0], "Output size")
    assert (pool.formula, pool.numbers) == (r"C \times H \times W", r"8 \times 16 \times 20")
    right = step_of(by_path["right"][0], "Receptive field")  # its input is not the row before
    assert right.formula == r"r_{\text{out}}"
    first, second = (step_of(explanation, "Parameters") for explanation in by_path["again"])
    assert first.numbers == r"4 \cdot 1 \cdot 1 \cdot 4 + 4 = 20"
    assert (second.formula, second.numbers) == (r"\text{count}", "0")
    assert "counted in another row" in second.note
    assert step_of(by_path["norm"][0], "Parameters").numbers == "0"


@pytest.mark.parametrize(
    ("fields", "at", "formula"),
    [
        ({"shortcut_scale": 0.5}, "layer1.1.join", r"y = F(x) + 0.5\,x"),
        ({"shortcut_scale": (1, 0, 1)}, "layer2.1.join", r"y = F(x) + 0\,x"),
        ({"residual_scale": 0.25}, "layer2.0.join", r"y = 0.25\,F(x) + \text{pad}(x)"),
        ({"learned_scale": True}, "layer1.0.join", r"y = \beta\,F(x) + x"),
        ({"join": "exclusive_gate"}, "layer1.0.join.add()", r"y = g\,F(x) + (1 - g)\,x"),
        (
            {"join": "shortcut_gate", "shortcut_scale": 0.5},
            "layer1.0.join.add()",
            r"y = F(x) + 0.5\,(1 - g)\,x",
        ),
        ({"join": "dropout"}, "layer1.0.join", r"y = F(x) + d\,x"),
        ({"join": "stochastic_depth"}, "layer1.0.join", r"y = b\,F(x) + x"),
    ],
)
def test_a_weighed_sum_is_written_out(fields, at, formula):
    spec = get_spec("resnet20").replace(**fields)
    table = layer_table(spec, (3, 32, 32))
    (row,) = [row for row in table.rows if row.key == at]
    steps = {step.quantity: step for step in explain(row, table, spec).steps}
    assert steps["Values"].formula == formula
    assert rf"y = \text{{ReLU}}({formula.removeprefix('y = ')})" in steps["Block"].formula
    inside = [each for each in table.rows if each.path.startswith(at[: len("layer1.1.")])]
    assert steps["Receptive field"].numbers.endswith(f" = {max(each.receptive_field[0] for each in inside)}")


def test_a_gate_reads_what_its_block_reads():
    spec = get_spec("resnet20").replace(join="exclusive_gate", shortcut="projection")
    table = layer_table(spec, (3, 32, 32))
    row = next(row for row in table.rows if row.path == "layer2.0.join.gate")
    steps = {step.quantity: step for step in explain(row, table, spec).steps}
    assert steps["Parameters"].numbers == r"16 \cdot 1 \cdot 1 \cdot 32 + 32 = 544"
    assert "those of layer1.2.relu2" in steps["Receptive field"].note
