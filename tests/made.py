"""Runs that look trained and never were, for tests of what looks at runs."""

from resnet_lab.runs import RunStore
from resnet_lab.runs.notes import Notes
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import EpochEvent, Started, StepEvent, TestEvent


def made(name="", tags=(), accuracies=(0.5, 0.75), test=0.7, **settings):
    """A completed run that was never trained."""
    run = RunStore().create(TrainConfig("resnet20", **{"epochs": len(accuracies), **settings}), name)
    writer = RunWriter(run)
    writer(Started(0, 4, 2, 90, 10, 269_722, "a CPU", "float32"))
    for i, accuracy in enumerate(accuracies, start=1):
        writer(StepEvent(2 * i, i, 1.0 / i, 0.4, 0.1, 1.0, 50.0, 3.0 * i, 0.0, 100.0))
        writer(EpochEvent(i, 2 * i, 1.0 / i, 0.4, 2.0 / i, accuracy, 3.0 * i))
    writer(TestEvent(4, 0.9, test, 400))
    writer.close()
    run.set_status(state="completed", step=4)
    (run.path / "best.pt").write_bytes(bytes(1000))
    (run.path / "last.pt").write_bytes(bytes(2000))
    if tags:
        run.annotate(Notes(tuple(tags)))
    return run
