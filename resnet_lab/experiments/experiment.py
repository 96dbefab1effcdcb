"""What an experiment is: a question, a measurement that can be watched, and figures with captions of what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Generic, TypeVar

from resnet_lab.figures.page import Part
from resnet_lab.runs import Run
from resnet_lab.runs.names import distinct_names
from resnet_lab.schema import Record, record
from resnet_lab.training import TrainConfig

TITLE = "Residual against plain"  # of a report
S = TypeVar("S", bound=Record)
R = TypeVar("R")


@record
class NoSettings(Record):
    """Of an experiment with nothing to be set."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[S, R]):
    """The one object that the comparison page, the lessons, `compare` on the command line and the reports use."""

    name: str  # of its command
    question: str  # what it asks, in half a sentence
    settings: type[S]  # what can be set: fields of the form, flags of the command
    # What is measured of a run, which is called by the name that it is given, in these settings; None where no run is
    # needed. It raises RunError or ValueError where that cannot be had.
    prepare: Callable[[Run, str, S], Any] | None = None
    # Draws its records one by one from what was prepared of each run, which are its records where there is nothing to
    # be drawn; who has seen enough stops drawing.
    measure: Callable[[Sequence[Any], S], Iterator[R]] = lambda prepared, _: iter(prepared)
    total: Callable[[Sequence[Any], S], int] = lambda prepared, _: len(prepared)  # of its records
    # What all records found up to now show; the last argument is whether the figures are dark.
    report: Callable[[Sequence[R], S, bool], list[Part]]
    # The races, whose nets take turns, that the experiment is about; None where it takes the reader's runs.
    trains: Callable[[S], list[list[TrainConfig]]] | None = None
    view: str = ""  # of the comparison page that it is shown in, "" for none
    page: str = "comparison"  # whose name its widgets' keys begin with
    heading: str = TITLE  # of its report
    note: str = ""  # what to know before it begins
    button: str = ""  # what starts it, "" where it starts by itself
    most: int | None = None  # runs that the page shows
    links: Mapping[str, str] = field(
        default_factory=dict
    )  # settings in a link of the page: their names there
    looks: frozenset[str] = frozenset()  # settings that change figures alone

    @property
    def title(self) -> str:
        return self.name.replace("-", " ").capitalize()

    def of_runs(self, runs: Sequence[Run], settings: S) -> list[Any]:
        """What is measured of these runs.

        Raises:
            RunError, ValueError: it cannot be had of one of them.
        """
        if self.prepare is None:
            return []
        named = zip(runs, distinct_names(runs), strict=True)
        return [self.prepare(run, name, settings) for run, name in named]

    def records(self, runs: Sequence[Run], settings: S) -> list[R]:
        """All that is found; raises as `of_runs` does."""
        return list(self.measure(self.of_runs(runs, settings), settings))


def in_turn(growing: Iterable[Iterator[R]]) -> Iterator[R]:
    """A record of each in turn, so that the figures of several nets grow together."""
    for at_once in zip_longest(*growing):
        yield from (found for found in at_once if found is not None)
