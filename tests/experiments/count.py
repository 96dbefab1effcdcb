"""An experiment as anybody could lay one beside the others."""

from typing import Annotated

from resnet_lab.experiments.experiment import Experiment
from resnet_lab.figures.page import Table
from resnet_lab.schema import Record, about, record


@record
class CountSettings(Record):
    until: Annotated[int, about("Where it ends.", ge=1)] = 3


COUNT = Experiment(
    name="count",
    question="how many numbers there are",
    settings=CountSettings,
    measure=lambda _, settings: iter(range(1, settings.until + 1)),
    report=lambda found, settings, dark: [Table([{"numbers": "all", "count": len(found)}])],
    view="Count",
)
