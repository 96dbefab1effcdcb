"""What a run that waits can be told: its place, and when it may begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from resnet_lab.figures.curves import Curve
from resnet_lab.runs import Run
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import duration

ALIKE = attrgetter(
    "spec", "dataset", "batch_size", "image_size", "train_limit", "device"
)  # steps take as long


def waiting(run: Run, curve: Callable[[Run], Curve]) -> str:
    """In words; `curve` gives what a run has told by now."""
    manager = navigation.manager()
    place = manager.place(run.id)
    if place is None:
        return "Waiting for its turn"
    text = f"Waiting, {place:,} before it" if place else "Waiting, next in turn"
    if manager.is_paused:
        return f"{text}; the queue is paused"
    runs = {each.id: each for each in navigation.store().list()}
    ahead = [runs[id] for id in manager.waiting() if id in runs and (manager.place(id) or 0) < place]
    told = {id: curve(each) for id, each in runs.items() if each.status.state in ("running", "completed")}
    going = [told[id] for id in told if runs[id].status.is_active]
    seconds = seconds_until(
        going, [each.config for each in ahead], [(runs[id].config, told[id]) for id in told]
    )
    return text if seconds is None else f"{text}; begins in about {duration(seconds / manager.threads)}"


def seconds_until(
    going: Sequence[Curve], ahead: Sequence[TrainConfig], known: Sequence[tuple[TrainConfig, Curve]]
) -> float | None:
    """That `going` and runs of `ahead` take, by the steps of `known` runs like them; None where nothing tells."""
    if not all(curve.points for curve in going):
        return None
    left = sum(curve.points[-1].seconds_left for curve in going)
    for config in ahead:
        taken = [
            _seconds(config, curve) for like, curve in known if ALIKE(like) == ALIKE(config) and curve.points
        ]
        if not taken:
            return None
        left += taken[0]
    return left


def _seconds(config: TrainConfig, like: Curve) -> float:
    """That a run of `config` takes if its steps take as long as those of `like`."""
    last = like.points[-1]
    return float(config.epochs * last.seconds / last.epoch)
