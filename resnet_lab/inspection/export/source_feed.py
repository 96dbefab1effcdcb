"""The part of a net's own Python file that says how its weights are to be fed, and the way back."""

from __future__ import annotations

import ast
import json
from typing import Any

from resnet_lab.models.classifier import DESCRIBED, Classifier

PREPARED = {
    "square": "Of an image file that is its middle square, resized to {size} × {size} (bicubic, antialiased).",
    "short side": "Of an image file that is the middle, once its short side is {size} (bilinear, antialiased).",
}
FEED = '''
# How the weights that belong to this net are to be fed, and what its outputs mean.
{constants}
# The net itself, as ResNet Lab reads it.
{net_spec}


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Probabilities, (B, {outputs}), of images with values 0 to 255, (B, 3, {size}, {size}).

    {prepared}
    """
    mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (MEAN, STD))
    {views}
    {probabilities}
'''
LONGEST = 110  # characters of a line


def feed(net: Classifier) -> str:
    """A constant for each field that `Classifier.describe` has, and a function that applies them."""
    said, side, size = net.describe(), net.side, net.image_size
    start = (size - side) // 2
    middle = f"{start}:{start + side}"
    ask = "model((x / 255 - mean) / std)"
    if net.transform.scales:
        resized = 'F.interpolate(images.float(), size=(s, s), mode="bilinear", antialias=True)'
        views = f'views = [\n    {resized}\n    for s in TRANSFORM["scales"]\n]'
        probabilities = f"return torch.stack([{ask}.softmax(1) for x in views]).mean(0)"
    else:
        views = f"x = images[:, :, {middle}, {middle}]  # the middle" if side < size else "x = images"
        probabilities = f"return {ask}.{'sigmoid()' if net.activation == 'sigmoid' else 'softmax(1)'}"
    return fill(
        FEED,
        constants="\n".join(_constant(name.upper(), said[name]) for name in DESCRIBED),
        net_spec=_constant("SPEC", net.model.spec.to_dict()),
        outputs=str(net.model.fc.out_features),
        size=str(size),
        prepared=PREPARED[net.transform.resize].format(size=size),
        views=views,
        probabilities=probabilities,
    )


def fill(template: str, **gaps: Any) -> str:
    """The template without its gaps: a line goes where its gap is empty, and several keep its indent."""
    lines = []
    for line in template.strip("\n").split("\n"):
        text = line.format(**gaps)
        if text.strip() or not line:
            lines.append(text.replace("\n", "\n" + " " * (len(line) - len(line.lstrip()))))
    return "\n".join(lines)


def read_source(text: str) -> dict[str, Any]:
    """The constants of such a file, as `Classifier.load` takes them; nothing in it is run.

    Raises:
        ValueError: it is no Python, or a constant is more than a literal.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"this is no Python file ({type(error).__name__})") from None
    said = {}
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.lower() in ("spec", *DESCRIBED):
                try:
                    said[name.lower()] = ast.literal_eval(value)
                except (ValueError, TypeError, RecursionError, MemoryError):
                    raise ValueError(f"{name} is more than a literal") from None
    if isinstance(said.get("spec"), dict):
        said["spec"] = json.dumps(said["spec"])
    return said


def _constant(name: str, value: Any) -> str:
    """A line, or one for each item where that is too long."""
    line = f"{name} = {_literal(value)}"
    if len(line) <= LONGEST or not isinstance(value, tuple | dict):
        return line
    opening, closing = ("(", ")") if isinstance(value, tuple) else ("{", "}")
    return "\n".join([f"{name} = {opening}", *(f"    {item}," for item in _items(value)), closing])


def _literal(value: Any) -> str:
    """As the formatter would have it: text in double quotes, unless that takes more backslashes."""
    if isinstance(value, dict):
        return f"{{{', '.join(_items(value))}}}"
    if isinstance(value, tuple):
        return f"({', '.join(_items(value))}{',' * (len(value) == 1)})"
    if not isinstance(value, str):
        return repr(value)
    quote = '"' if value.count('"') <= value.count("'") else "'"
    escaped = "".join(letter if letter in "'\"" else repr(letter)[1:-1] for letter in value)
    return quote + escaped.replace(quote, "\\" + quote) + quote


def _items(value: tuple[Any, ...] | dict[str, Any]) -> list[str]:
    if isinstance(value, tuple):
        return [_literal(item) for item in value]
    return [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()]
