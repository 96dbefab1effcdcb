"""One line of words and comparisons, against runs by hand."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from resnet_lab.runs.filter import parse_filter

KINDS = {
    "name": str, "tags": tuple, "note": str, "net": str, "dataset": str, "lr": float, "epochs": int, "test": float,
    "nesterov": bool, "weights": str, "milestones": tuple, "started": datetime,
}  # fmt: skip
RUNS = {
    "a": {
        "name": "First try", "tags": ("homework", "Week 3"), "note": "BN off", "net": "resnet20", "dataset": "shapes",
        "lr": 0.1, "epochs": 5, "test": 91.5, "nesterov": True, "weights": None, "milestones": (30.0, 60.0),
        "started": datetime(2026, 11, 30, 14, 5),
    },
    "b": {
        "name": "b", "tags": (), "note": "", "net": "plain20", "dataset": "cifar10", "lr": 0.05, "epochs": 40,
        "test": None, "nesterov": False, "weights": "imagenet", "milestones": (), "started": datetime(2026, 12, 1),
    },
    "c": {
        "name": "c", "tags": ("week",), "note": "", "net": "resnet32", "dataset": "shapes", "lr": 1e-3, "epochs": 5,
        "test": 60.0, "nesterov": True, "weights": None, "milestones": (), "started": None,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", "abc"),
        ("shapes", "ac"),
        ("RESNET", "ac"),
        ("bn off", "a"),
        ('"off bn"', ""),
        ("week", "ac"),
        ("resnet shapes week", "ac"),
        ("lr > 0.05", "a"),
        ("lr>=.05", "ab"),
        ("lr = 5e-2", "b"),
        ("lr != 0.1", "bc"),
        ("LR<0.1 shapes", "c"),
        ("test >= 90", "a"),
        ("test < 90%", "c"),
        ("test != 60", "ab"),
        ("test = none", "b"),
        ("test != none", "ac"),
        ("tag = homework", "a"),
        ('tags = "week 3"', "a"),
        ("tag = week", "c"),
        ("tag != week", "ab"),
        ("tag = none", "b"),
        ("net = resnet20", "a"),
        ("net = resnet", ""),
        ("data != shapes", "b"),
        ("nesterov = false", "b"),
        ("nesterov = yes epochs <= 5", "ac"),
        ("weights = none", "ac"),
        ('milestones = "30, 60"', "a"),
        ("milestones = 30", "a"),
        ("started >= 2026-12", "b"),
        ("started = 2026-11-30", "a"),
        ('started < "2026-11-30 14:06"', "a"),
        ("epochs = 5 epochs = 40", ""),
        ("! shapes", ""),
    ],
)
def test_what_is_meant(text, meant):
    is_meant = parse_filter(text, KINDS, ("name", "tags", "note", "net", "dataset"))
    assert "".join(name for name, values in RUNS.items() if is_meant(values)) == meant


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr >", "“lr >” stands without a value behind it"),
        ("lr > = 0.1", "“lr >” stands without a value"),
        ("> 0.1", "“>” stands without a name before it"),
        ("lr > much", "lr is a number, and “much” is none"),
        ("lr = 0,05", "lr is a number, and “0,05” is none"),
        ("rl > 1", "there is no “rl”"),
        ("epoch = 3", "there is no “epoch”; perhaps “epochs” is meant"),
        ("net > resnet20", "net is no number"),
        ("tag >= a", "tags is no number"),
        ("nesterov = maybe", "nesterov is true or false"),
        ("started > yesterday", "started is a date such as 2026-11-30"),
    ],
)
def test_what_cannot_be_read_is_said(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_filter(text, KINDS, ("name",))


@given(
    some.text(max_size=60) | some.lists(some.sampled_from([*KINDS, *'=<>!"', "0", "none", "é"])).map(" ".join)
)
def test_any_text_is_a_filter_or_a_sentence(text):
    try:
        is_meant = parse_filter(text, KINDS, ("name", "tags"))
    except ValueError as error:
        assert 10 < len(str(error)) < 200  # noqa: PT017
    else:
        assert all(is_meant(values) in (True, False) for values in RUNS.values())
