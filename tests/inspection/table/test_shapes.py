"""The lab's own shape functions against torch's for the meta device."""

import pytest

from resnet_lab.inspection.table import shapes
from resnet_lab.inspection.table.layer_table import _table_of_spec, layer_table
from resnet_lab.models import VARIANTS

OTHERS = [
    VARIANTS["resnet18"].replace(norm="group", stem="deep"),
    VARIANTS["resnet18"].replace(norm="none", shortcut="pad"),
    VARIANTS["resnet50"].replace(dilation=(False, True, True)),
    VARIANTS["resnet50"].replace(shortcut="pad", preactivation=True),
]


@pytest.mark.parametrize("size", [(3, 1, 5), (3, 64, 97)])
@pytest.mark.parametrize("spec", [*VARIANTS.values(), *OTHERS], ids=lambda spec: spec.name)
def test_the_table_is_the_one_that_torch_gives(spec, size, monkeypatch):
    _table_of_spec.cache_clear()
    own = layer_table(spec, size)
    _table_of_spec.cache_clear()
    monkeypatch.setattr(shapes, "SHAPES", {})
    assert own == layer_table(spec, size)
