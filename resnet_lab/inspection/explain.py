"""How the numbers of one row of the layer table come about: formulas in LaTeX, and the row's numbers in them.

A formula is given where it comes to the number of the row; else the number stands alone. In a template, <C_in>
is a letter and its number: k side of a kernel, p padding, s stride, d dilation, g groups; r receptive field, and
j the step from one field to the next.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from resnet_lab.inspection.sums import NOTES, say_sum
from resnet_lab.inspection.table.receptive_field import padding_per_side
from resnet_lab.inspection.table.records import LayerRow, LayerTable, say_shape
from resnet_lab.models import ModelSpec

NORMED = r"y = \gamma\,\frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta"
VALUES = {  # the types that formulas are known for: what they compute, and a note
    "Conv2d": ("y = W * x", ""),
    "Linear": (r"y = W\,x", ""),
    "BatchNorm2d": (NORMED, "μ and σ² are the mean and the variance of a channel; γ and β are learned."),
    "GroupNorm": (NORMED, "μ and σ² are those of a group of channels in one image; γ and β are learned."),
    "ReLU": (r"y = \max(0, x)", ""),
    "relu": (r"y = \max(0, x)", ""),
    "MaxPool2d": (r"y = \max_{\text{window}}\,x", ""),
    "AvgPool2d": (r"y = \text{mean}_{\text{window}}\,x", ""),
    "AdaptiveAvgPool2d": (
        r"y = \frac{1}{<H> \cdot <W>} \sum x",
        "The window is the whole map: k is its side.",
    ),
    "PadShortcut": (r"\text{zero channels} = <C_out> - <C_in>", ""),
    "add": ("y = a + b", "The table does not say which rows are added."),
    "mul": (r"y = a \cdot b", ""),
    "sub": ("y = 1 - g", ""),
    "Sigmoid": (r"y = \frac{1}{1 + e^{-x}}", ""),
}
SUMS = ("add", "WeightedSum", "ShortcutDropout", "StochasticDepth")  # what ends a block's sum
FIELD = "Receptive field"
MAPS = ("Conv2d", "MaxPool2d", "AvgPool2d", "PadShortcut", "AdaptiveAvgPool2d")
LETTER = re.compile(r"<(\w+)>")
SIDE = r"<H_out> = \left\lfloor\frac{<H> + 2 \cdot <p> - <k>}{<s>}\right\rfloor + 1"
DILATED_SIDE = SIDE.replace("<k>", r"<d> \cdot (<k> - 1) - 1")
KERNEL = r"\frac{<C_in>}{<g>} \cdot <k_h> \cdot <k_w> \cdot <C_out>"
WEIGHTS, SCALES = r"<C_in> \cdot <C_out>", r"<2> \cdot <C>"
PARAMETERS = {"Conv2d": KERNEL, "Linear": WEIGHTS, "BatchNorm2d": SCALES, "GroupNorm": SCALES}
MACS = {"Conv2d": rf"<H_out> \cdot <W_out> \cdot {KERNEL}", "Linear": WEIGHTS}
PAPER = {  # by the block's shortcut
    "identity": "He et al. 2015, Eq. (1): x is added as it is.",
    "pad": "He et al. 2015, Sec. 3.3, option A: x, subsampled and filled up with channels of zeros.",
    "projection": "He et al. 2015, Eq. (2): W_s stands for a 1×1 convolution, and the norm if one follows it.",
    "none": "A plain net adds nothing (He et al. 2015, Sec. 3.3).",
}


@dataclass(frozen=True)
class Step:
    """One quantity of a row; `formula` and `numbers` are LaTeX, `note` is plain text."""

    quantity: str
    formula: str
    numbers: str  # the formula with the row's numbers, then "= result"; "" where there are none
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    title: str
    steps: tuple[Step, ...]


class _Block:
    """One block of a net of the lab: the row that makes its input x, and the rows of F."""

    def __init__(self, row: LayerRow, table: LayerTable, spec: ModelSpec) -> None:
        place = (row.stage, row.block)
        first = [(each.stage, each.block) for each in table.rows].index(place)
        inside = [each for each in table.rows if (each.stage, each.block) == place]
        self.x, self.preactivation, self.spec = table.rows[first - 1], spec.preactivation, spec
        self.shape = next(shape for shape in spec.block_shapes() if (shape.stage, shape.position) == place)
        self.residual = [each for each in inside if not each.is_function and not each.is_shortcut]
        if not spec.preactivation:
            self.residual.pop()  # the last ReLU comes after the addition


def explain(row: LayerRow, table: LayerTable, spec: ModelSpec | None = None) -> Explanation:
    """The formulas of `row`, a row of `table`; of its block too, where `spec` says what net it is."""
    block = _Block(row, table, spec) if spec and row.stage else None
    steps = [_values(row, block), *_output_size(row)]
    steps += [_counted("Parameters", row, PARAMETERS, row.params), _counted("MACs", row, MACS, row.macs)]
    steps += [*_receptive_field(row, table, block), _memory(row)]
    steps += [_block_step(block)] if block else []
    return Explanation(f"{row.path or 'the net'}: {row.type}{'()' * row.is_function}", tuple(steps))


def _type(row: LayerRow) -> str:
    """The type, where formulas are known for it and for these shapes; else ""."""
    shapes = (row.input_shape, row.output_shape)
    known = row.type in (*VALUES, *SUMS) and all(shapes) and row.is_function == row.type.islower()
    if row.type in MAPS or row.type == "Linear":
        known = known and {len(shape) for shape in shapes} == {3 if row.type in MAPS else 1}
    if row.type == "AdaptiveAvgPool2d":
        known = known and row.output_shape[1:] == (1, 1)
    return row.type if known else ""


def _sizes(row: LayerRow) -> dict[str, int]:
    """The row's numbers, by the letters of the templates."""
    channels = {"C_in": row.input_shape[0], "C_out": row.output_shape[0], "C": row.output_shape[0]}
    numbers = (*row.input_shape[1:], *row.output_shape[1:], *row.kernel) if row.type in MAPS else ()
    sides = zip(("H", "W", "H_out", "W_out", "k_h", "k_w"), numbers, strict=False)
    return channels | dict(sides) | {"2": 2, "g": row.groups or 1}


def _values(row: LayerRow, block: _Block | None) -> Step:
    template, note = VALUES.get(_type(row), ("", ""))
    match _type(row):
        case "":
            name = row.type.replace("_", r"\_")
            note = "No formula is known for it." if row.output_shape else "It is never called."
            return Step("Values", rf"y = \text{{{name}}}(x)", "", note)
        case "PadShortcut":
            more, s = row.output_shape[0] - row.input_shape[0], row.stride[0]
            kept = f"One value in {s} is kept along each side" if s > 1 else "Every value is kept"
            note = f"{kept}; {more // 2:,} channels of zeros come before and {more - more // 2:,} after."
            return _step("Values", template, _sizes(row), more, note)
        case "add" | "WeightedSum" | "ShortcutDropout" | "StochasticDepth" if block:
            shape, added = _n(*row.output_shape), _added(block)
            residual, _, shortcut = _sum(block, added).partition(" + ")
            numbers = rf"\underbrace{{{residual}}}_{{{shape}}} + \underbrace{{{shortcut}}}_{{{shape}}}"
            note = f"x is {say_shape(block.x.output_shape)}. {NOTES[block.spec.join]}".strip()
            return Step("Values", f"y = {residual} + {shortcut}", numbers, note)
        case "WeightedSum" | "ShortcutDropout" | "StochasticDepth":
            return Step("Values", r"y = \beta\,F(x) + \alpha\,s(x)", "")
        case "Conv2d" | "Linear" if row.bias:
            template += " + b"
    return _step("Values", template, _sizes(row), None, note)


def _output_size(row: LayerRow) -> list[Step]:
    steps = []
    sides = zip("HW", row.input_shape[1:], row.output_shape[1:], _window(row), strict=False)
    for letter, size, side, (k, s, p, d) in sides if _type(row) in MAPS else ():
        value = (size + 2 * p - d * (k - 1) - 1) // s + 1
        template = (SIDE if d == 1 else DILATED_SIDE).replace("<H", f"<{letter}")
        sizes = {letter: size, "k": k, "s": s, "p": p, "d": d}
        if value == side:  # not so for a pool with ceil_mode
            steps.append(_step("Output size", template, sizes, value))
    if len(steps) == 2:
        letters = "kernel k, stride s, padding p" + ", dilation d" * (max(row.dilation, default=1) > 1)
        return _merged(steps, f"The output is {say_shape(row.output_shape)}; {letters}.")
    note = "The same as the input." if row.input_shape == row.output_shape else ""
    letters = {1: "C", 3: r"C \times H \times W"}.get(len(row.output_shape), r"\text{shape}")
    return [Step("Output size", letters, _n(*row.output_shape), note)] * bool(row.output_shape)


def _window(row: LayerRow) -> list[tuple[int, ...]]:
    """Kernel, stride, padding and dilation along each side, also of what works as a window; [] if not known."""
    match _type(row):
        case "BatchNorm2d" | "GroupNorm" | "ReLU" | "relu" | "Linear" | "Sigmoid":
            return [(1, 1, 0, 1)] * len(row.receptive_field)
        case "PadShortcut":
            return [(1, s, 0, 1) for s in row.stride]
        case "AdaptiveAvgPool2d":
            return [(side, side, 0, 1) for side in row.input_shape[1:]]
    padding = padding_per_side(row.padding, row.kernel, row.dilation)
    return list(zip(row.kernel, row.stride, padding, row.dilation, strict=True))


def _counted(quantity: str, row: LayerRow, templates: dict[str, str], count: int) -> Step:
    """Parameters or MACs: by the template of the row's type where that comes to `count`."""
    kind, note = _type(row), ""
    if not count:
        of_macs = "By convention, only convolutions and linear layers count."
        note = of_macs if quantity == "MACs" else "Nothing is learned." * bool(kind)
    if kind in templates:
        template, sizes = templates[kind], _sizes(row)
        if sizes["g"] == 1:
            template = template.replace(r"\frac{<C_in>}{<g>}", "<C_in>")
        value = math.prod(sizes[name] for name in LETTER.findall(template) if name != "g") // sizes["g"]
        if quantity == "Parameters" and row.bias and kind in MACS:
            template, value = f"{template} + <C_out>", value + sizes["C_out"]
        if value == count:
            return _step(quantity, template, sizes, count)
        note = "The usual formula does not hold: weights are missing, or counted in another row."
    return Step(quantity, r"\text{count}", _n(count), note)


def _receptive_field(row: LayerRow, table: LayerTable, block: _Block | None) -> list[Step]:
    """How the field grows; the result alone where the input's field cannot be told from the table."""
    is_sum = row.type in SUMS and (row.is_function or row.is_join)
    steps = _field_of_sum(block) if block and is_sum else _field_of_window(row, table)
    steps = steps or _merged([_step(FIELD, "<r_out>", {"r_out": r}, r) for r in row.receptive_field])
    if any(r > side for r, side in zip(row.receptive_field, table.input_size[1:], strict=False)):
        more = f"The field is larger than the image ({say_shape(table.input_size[1:])}): padding included."
        steps = [replace(step, note=f"{step.note} {more}".strip()) for step in steps]
    return steps


def _field_of_sum(block: _Block) -> list[Step]:
    # A shortcut sees no more than x does: its kernel is 1×1.
    fields = list(zip(block.residual[-1].receptive_field, block.x.receptive_field, strict=True))
    template = r"<r_out> = \max(<r_F>, <r_x>)"
    steps = [_step(FIELD, template, {"r_F": f, "r_x": x}, max(f, x)) for f, x in fields]
    return _merged(steps, "The larger of two: through F, and along the shortcut.")


def _field_of_window(row: LayerRow, table: LayerTable) -> list[Step]:
    source, steps = _source(row, table), []
    if not source or math.prod(source.output_shape) != math.prod(row.input_shape):
        return []
    wide = row.kernel or row.type == "AdaptiveAvgPool2d"
    before = zip(source.receptive_field, source.field_stride, strict=False)
    after = zip(row.receptive_field, row.field_stride, strict=False)
    for (r_in, j_in), (r, j), (k, s, _, d) in zip(before, after, _window(row), strict=False):
        if (r_in + (k - 1) * d * j_in, j_in * s) != (r, j):
            return []
        spread = r" \cdot <d>" if d > 1 else ""
        growth = rf" + (<k> - 1){spread} \cdot <j_in>" if wide else ""
        sizes = {"r_in": r_in, "j_in": j_in, "k": k, "d": d}
        steps.append(_step(FIELD, f"<r_out> = <r_in>{growth}", sizes, r))
    note = f"The input's field r and its step j are those of {source.key}." if wide else "That of its input."
    return _merged(steps, note)


def _source(row: LayerRow, table: LayerTable) -> LayerRow | None:
    """The row that should make this row's input: the one before; of a shortcut, the one before its block."""
    image = LayerRow("the image", "", (), table.input_size, receptive_field=(1, 1), field_stride=(1, 1))
    rows = [image, *table.rows]
    i = rows.index(row) if row in rows else 0
    if row.is_shortcut and (not rows[i - 1].is_shortcut or row.path.endswith(".join.gate")):
        i = [(each.stage, each.block) for each in rows].index((row.stage, row.block))
    return rows[i - 1] if i else None


def _memory(row: LayerRow) -> Step:
    quantity = "Activation memory"
    if not row.activation_bytes():
        return Step(quantity, r"\text{bytes}", "0", "Nothing keeps it: no gradient needs this output.")
    formula, numbers = r"\text{values} \cdot 4", rf"{_n(row.kept_values)} \cdot 4"
    if row.kept_bytes:
        formula, numbers = rf"{formula} + \text{{bytes of indices}}", f"{numbers} + {_n(row.kept_bytes)}"
    note = "Bytes that one image keeps for the backward pass, in float32."
    if row.kept_values < math.prod(row.output_shape):
        note += " The output itself is not kept."
    return Step(quantity, formula, f"{numbers} = {_n(row.activation_bytes())}", note)


def _block_step(block: _Block) -> Step:
    note = f"{PAPER[block.shape.shortcut]} {NOTES[block.spec.join]}".strip()
    y = _sum(block, _added(block) if block.shape.shortcut != "none" else "")
    if block.preactivation:
        note += " Norm and ReLU come before each convolution (He et al. 2016, Fig. 4e)."
    else:
        y = rf"\text{{ReLU}}({y})"
    return Step("Block", rf"y = {y}, \quad F(x) = {_nested(block.residual)}", "", note)


def _sum(block: _Block, added: str) -> str:
    """As `say_sum`, in LaTeX."""
    return say_sum(block.spec, block.shape, added, r"\,").replace("−", "-").replace("β", r"\beta")


def _added(block: _Block) -> str:
    """What is added to F(x): x, W_s x or pad(x)."""
    if block.shape.shortcut == "identity":
        return "x"
    first_conv = next(i for i, row in enumerate(block.residual) if row.kernel)
    x = _nested(block.residual[:first_conv])  # pre-activation: ReLU(BN(x)), else x
    return rf"\text{{pad}}({x})" if block.shape.shortcut == "pad" else rf"W_s\,{x}"


def _nested(rows: list[LayerRow]) -> str:
    """The rows as one formula: BN(W_2 ReLU(BN(W_1 x)))."""
    text, convolutions = "x", 0
    for row in rows:
        convolutions += row.type == "Conv2d"
        name = {"BatchNorm2d": "BN", "GroupNorm": "GN"}.get(row.type, row.type)
        text = rf"W_{convolutions}\,{text}" if row.type == "Conv2d" else rf"\text{{{name}}}({text})"
    return text


def _step(quantity: str, template: str, sizes: dict[str, int], value: int | None, note: str = "") -> Step:
    """The template in letters, and its right side in numbers, which comes to `value`."""
    right = template.rpartition(" = ")[2]
    numbers = LETTER.sub(lambda found: _n(sizes[found[1]]), right) if "<" in right else ""
    result = "" if value is None or numbers == _n(value) else f" = {_n(value)}"
    letters = re.sub(r"_(in|out)>", r"_{\\text{\1}}", template)
    return Step(quantity, re.sub("[<>]", "", letters), numbers + result, note)


def _merged(steps: list[Step], note: str = "") -> list[Step]:
    """One step where height and width go alike, else one each."""
    if len({step.numbers for step in steps}) < 2:
        return [replace(step, note=note) for step in steps[:1]]
    sides = zip(("Height. ", "Width. "), steps, strict=False)
    return [replace(step, note=(side + note).strip()) for side, step in sides]


def _n(*numbers: int) -> str:
    return r" \times ".join(f"{number:,}" for number in numbers).replace(",", "{,}")
