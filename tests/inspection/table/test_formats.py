"""CSV, JSON and text say what the table says."""

import csv
import io
import json

import pytest

from resnet_lab.inspection import layer_table
from resnet_lab.inspection.table.formats import as_csv, as_json, as_text, records, totals


@pytest.fixture(params=["stages", "blocks", "layers"])
def depth(request):
    return request.param


@pytest.fixture(params=["resnet20", "resnext50_32x4d"])
def table(request):
    return layer_table(request.param, (3, 64, 64))


def test_csv_adds_up(table, depth):
    rows = list(csv.DictReader(io.StringIO(as_csv(table, depth))))
    assert len(rows) == len(records(table, depth))
    assert sum(int(row["parameters"]) for row in rows) == table.total_params
    assert sum(int(row["MACs"]) for row in rows) == table.total_macs
    assert sum(int(row["activation_bytes"]) for row in rows) == table.activation_bytes()
    for share in ("share_of_parameters", "share_of_MACs"):
        assert sum(float(row[share]) for row in rows) == pytest.approx(1)


def test_json_holds_its_totals(table, depth):
    content = json.loads(as_json(table, depth))
    layers = content.pop("layers")
    assert content == totals(table)
    assert (
        sum(row["parameters"] for row in layers) == content["parameters"] == content["trainable_parameters"]
    )
    assert content["input_size"] == [3, 64, 64]


def test_text_is_in_line(table, depth):
    lines = as_text(table, depth).splitlines()
    end = lines[0].index("MACs") + len("MACs")
    assert all(line[end - 1] not in " " and line[end : end + 1] in ("", " ") for line in lines)
    assert lines[-1].split() == ["total", f"{table.total_params:,}", f"{table.total_macs:,}"]


def test_one_record():
    record = records(layer_table("resnet50"))[0]
    assert record == {
        "layer": "conv1", "type": "Conv2d", "kernel": "7×7", "stride": "2", "padding": "3", "dilation": "1",
        "groups": 1, "input": "3 × 224 × 224", "output": "64 × 112 × 112", "parameters": 9408,
        "share_of_parameters": 9408 / 25_557_032, "MACs": 118_013_952,
        "share_of_MACs": 118_013_952 / 4_089_184_256, "activation_bytes": 4 * 64 * 112 * 112,
        "receptive_field": "7", "field_stride": "2",
    }  # fmt: skip


def test_functions_have_parentheses():
    types = [record["type"] for record in records(layer_table("resnet20", (3, 32, 32)))]
    assert types.count("add()") == 9
