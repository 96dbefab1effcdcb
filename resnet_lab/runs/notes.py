"""notes.json: what people say of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from resnet_lab.schema import Record, about, fields_of, read_json, record

LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 4_000
LARGEST = 100_000  # bytes of the file; JSON may take 12 for a character


@record
class Notes(Record):
    """Plain text: nothing in it is Markdown or HTML."""

    what: ClassVar[str] = "notes"
    tags: Annotated[
        tuple[Annotated[str, about(min_length=1, max_length=LONGEST_TAG)], ...], about(max_length=MOST_TAGS)
    ] = ()
    text: Annotated[str, about(max_length=LONGEST_NOTE)] = ""

    def tagged(self, add: Iterable[str], remove: Iterable[str] = ()) -> Notes:
        """With other tags; two that differ in upper case and spaces alone are one.

        Raises:
            SchemaError: a tag is too long, or these are too many.
        """
        tags = {tag.casefold(): tag for tag in (" ".join(tag.split()) for tag in (*self.tags, *add))}
        for tag in ("", *remove):
            tags.pop(" ".join(tag.split()).casefold(), None)
        return self.replace(tags=tuple(tags.values()))


def read_notes(text: bytes) -> Notes:
    """Fields that only later versions know are left out.

    Raises:
        SchemaError: it is no JSON object, or has a value that cannot be.
    """
    data = read_json(text, Notes.what)
    return Notes.from_dict({name: data[name] for name in fields_of(Notes) if name in data})
