"""How a command names a net that has not been trained."""

from __future__ import annotations

from pathlib import Path

from resnet_lab.cli.files import read_file
from resnet_lab.models import VARIANTS, ModelSpec, get_spec
from resnet_lab.models.links import spec_from_link

NETS = f"a variant ({', '.join(VARIANTS)}), a spec as a JSON file, or the spec in a link of the app"


def read_net(text: str) -> ModelSpec:
    """The net that an argument of the kind `NETS` stands for.

    Raises:
        ValueError: there is no such variant, or the file or the link does not hold a spec.
    """
    if not text.endswith(".json"):
        return spec_from_link(text) if "." in text else get_spec(text)
    return ModelSpec.from_json(read_file(Path(text)))
