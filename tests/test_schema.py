"""One schema: what the classes say of their fields is what every door checks, and says."""

import json
import math
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnet_lab.data import Augmentation
from resnet_lab.models import ModelSpec
from resnet_lab.schema import MAX_JSON, Record, SchemaError, about, fields_of, nested, read_json, record
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import KINDS, EpochEvent, Started, StepEvent, read_event


@record
class Inner(Record):
    what: ClassVar[str] = "an inner thing"

    side: Annotated[int, about("In pixels.", unit="px", ge=1, le=10)] = 3


@record
class Outer(Record):
    what: ClassVar[str] = "a thing"

    count: Annotated[int, about("How many.", title="Number", ge=1, le=1000)]
    rate: Annotated[float | None, about(gt=0, lt=1)] = None
    kind: Literal["a", "b"] = "a"
    at: Annotated[tuple[Annotated[float, about(gt=0)], ...], about(max_length=3)] = ()
    inner: Annotated[Inner, nested(Inner)] = Inner()
    on: bool = False


def test_a_field_is_described_once():
    fields = fields_of(Outer)
    count, rate = fields["count"], fields["rate"]
    assert (count.title, count.help, count.low, count.high, count.required) == (
        "Number",
        "How many.",
        1,
        1000,
        True,
    )
    assert (rate.kind, rate.optional, rate.open_low, rate.open_high, rate.default) == (
        float,
        True,
        True,
        True,
        None,
    )
    assert fields_of(Inner)["side"].unit == "px"
    assert fields["kind"].choices == ("a", "b")
    assert {name: field.allowed for name, field in fields.items()} == {
        "count": "a whole number from 1 to 1,000",
        "rate": "a number above 0 and below 1, or none",
        "kind": "a, b",
        "at": "a list of 0 to 3, each a number above 0",
        "inner": "an inner thing",
        "on": "true or false",
    }


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"count": 0}, "count is 0; it may be a whole number from 1 to 1,000"),
        ({"count": True}, "count is True; it may be"),
        ({"count": 1.0}, "count is 1.0; it may be a whole number"),
        ({"count": "1"}, "count is '1'; it may be"),
        ({"count": 10**400}, "count is 1000"),
        ({"count": 1, "rate": 10**400}, "rate is 1000"),
        ({"count": 1, "rate": math.inf}, "rate is inf; it may be a number above 0"),
        ({"count": 1, "rate": math.nan}, "rate is nan; it may be"),
        ({"count": 1, "rate": 1}, "rate is 1; it may be a number above 0 and below 1"),
        ({"count": 1, "kind": ["a"]}, "kind is ('a',); it may be a, b"),
        ({"count": 1, "at": [1, -1]}, "at is (1, -1); it may be a list"),
        ({"count": 1, "at": [1] * 4}, "at is (1, 1, 1, 1); it may be a list of 0 to 3"),
        ({"count": 1, "inner": {"side": 11}}, "inner: side is 11; it may be a whole number from 1 to 10"),
        ({"count": 1, "inner": 3}, "inner is 3; it may be an inner thing"),
        ({"count": 1, "other": 3}, "unknown field 'other'; a thing has count, rate"),
        ({}, "count is missing; a thing has count, rate"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_field(data, sentence):
    with pytest.raises(SchemaError) as caught:
        Outer.from_dict(data)
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 200


def test_whole_numbers_pass_where_fractions_are_meant_and_lists_where_tuples_are():
    assert Outer.from_dict({"count": 1, "at": [1, 2.5]}) == Outer(1, at=(1.0, 2.5))
    assert TrainConfig(weight_decay=0, clip_norm=1) == TrainConfig(weight_decay=0.0, clip_norm=1.0)
    assert type(TrainConfig(clip_norm=1).clip_norm) is float


def test_a_pair_is_a_list_of_two():
    assert (
        fields_of(Augmentation)["scale_jitter"].allowed == "a list of 2, each a number from 1 to 4, or none"
    )
    assert fields_of(TrainConfig)["weights"].allowed == "text, or none"


def test_every_field_of_a_recipe_says_what_it_may_be():
    for cls in (TrainConfig, ModelSpec, Augmentation):
        for field in fields_of(cls).values():
            assert field.kind is not object or field.name == "variant"
            assert field.title
            assert "Annotated" not in field.allowed


def test_a_copy_is_checked_like_the_first():
    with pytest.raises(SchemaError, match=r"^count is 0"):
        Outer(1).replace(count=0)
    with pytest.raises(SchemaError, match="unknown field 'size'"):
        Outer(1).replace(size=3)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"[" * 200_000, b'{"a":' * 5_000, b'{"a": ' + b"9" * 5000 + b"}",
        b" " * (MAX_JSON + 1), "{" + " " * MAX_JSON + "}",
    ],
)  # fmt: skip
def test_what_is_no_object_of_json_is_one_sentence(text):
    with pytest.raises(SchemaError, match=r"a thing (is a JSON object|has up to)"):
        read_json(text, "a thing")


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert read_json(b'\xef\xbb\xbf{"count": 1}', "a thing") == {"count": 1}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("cls", [ModelSpec, TrainConfig, Augmentation, Outer, *KINDS.values()])
def test_anything_at_all_becomes_a_record_or_one_sentence(cls):
    """And what becomes one comes back from its JSON."""

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(sorted(fields_of(cls))), ANYTHING, max_size=3))
    def check(data):
        made, said = None, ""
        try:
            made = cls.from_dict(data)
        except SchemaError as error:
            said = str(error)
        assert len(said) < 600
        assert "\n" not in said
        if made is not None and all(math.isfinite(v) for v in data.values() if isinstance(v, float)):
            again = {k: v for k, v in json.loads(json.dumps(made.to_dict())).items() if k in fields_of(cls)}
            assert cls.from_dict(again) == made

    check()


def test_events_come_back_as_the_classes_that_they_were():
    events = [
        Started(0, 9, 9, 90, 10, 1000, "cpu", "float32", ("a note",), ("conv1",)),
        StepEvent(1, 0.1, math.nan, 0.1, 0.1, None, 50.0, 1.0, 9.0, 100.0),
        EpochEvent(1, 9, 1.0, 0.5, math.inf, 0.5, 3.0),
    ]
    for event in events:
        again = read_event(json.dumps(event.to_dict()).encode())
        assert type(again) is type(event)
        assert repr(again) == repr(event)  # NaN is not equal to itself


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{}", b"[]", b'{"kind": 3}', b'{"kind": ["step"]}', b'{"kind": "step"}', b'{"kind": "later"}',
        b'{"kind": "adjusted", "step": 1e400, "text": "x"}', b'{"kind": "adjusted", "step": 1}', b"\xff",
    ],
)  # fmt: skip
def test_a_line_of_another_program_is_no_event(line):
    assert read_event(line) is None


def test_what_a_later_version_adds_to_an_event_is_left_out():
    line = json.dumps({"kind": "adjusted", "step": 1, "text": "x", "reason": "new"}).encode()
    assert read_event(line).to_dict() == {"kind": "adjusted", "step": 1, "text": "x", "micro_batch": None}


def test_a_run_of_before_with_a_schedule_that_never_came_to_act_is_read():
    old = TrainConfig().to_dict() | {"schedule": "multistep", "milestones": []}
    assert TrainConfig.from_record(old) == TrainConfig(schedule="constant")
    assert TrainConfig.from_dict(old | {"epochs": 200}).milestones == (100.0, 150.0)  # a recipe of today
