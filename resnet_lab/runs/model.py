"""A trained net out of a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from resnet_lab.models import WeightsError
from resnet_lab.models.classifier import Classifier, dataset_title
from resnet_lab.models.files.weights_file import read_metadata
from resnet_lab.models.weights import read_weights
from resnet_lab.runs.files import RunError
from resnet_lab.runs.run import Run
from resnet_lab.training.checkpoint import BestWeights

IN_CHECKPOINT = ("spec", "classes", "image_size", "mean", "std")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a `Checkpoint` event, on the CPU.

    Raises:
        RunError: the file is cut short, or no checkpoint of this lab.
    """
    try:
        state = read_weights(path)
    except WeightsError as error:
        raise RunError(f"{path.parent.name}: {error}") from None
    if not isinstance(state, dict) or "spec" not in state or "model" not in state:
        raise RunError(f"{path.parent.name}: {path.name} is no checkpoint of this lab.")
    return state


def read_first(paths: Sequence[Path]) -> tuple[dict[str, Any] | None, str]:
    """The state of the first checkpoint that can be read, on the CPU, and what was wrong with the first of those before
    it ("" for nothing). None where there are no `paths`.

    Raises:
        RunError: none can be read: each is cut short, or no checkpoint of this lab. The message is that of the first.
    """
    damage = ""
    for path in paths:
        try:
            return read_checkpoint(path), damage
        except RunError as error:
            damage = damage or str(error)
    if damage:
        raise RunError(damage)
    return None, ""


def load_run_model(run: Run, weights: Literal["best", "last"] = "best") -> Classifier:
    """The net of a run, on the CPU, fed as in the run's own test.

    Best are the weights with the best validation accuracy. Where their file is damaged they are taken from the last
    checkpoint, which holds them too; `Classifier.weights` says which these are.

    Raises:
        RunError: it has no checkpoint yet, or one that cannot be read.
    """
    paths = run.checkpoints(weights)
    if run.is_recorded:
        return _load_recorded(run, paths)
    state, damage = read_first(paths)
    if state is None and run.best_checkpoint:
        raise RunError(f"{run.name} keeps its best weights alone; its last ones were cleaned up.")
    if state is None:
        raise RunError(
            f"{run.name} has no checkpoint yet; let it train for an epoch, or stop it to write one."
        )
    step = f", of step {state['step']:,}" if isinstance(state.get("step"), int) else ""
    kind = "best" if paths[0].name == "best.pt" and not damage else "last"
    said = said_by(state, run.config.to_dict())
    said |= {"dataset": run.config.dataset, "weights": f"{kind} weights{step}"}
    try:
        best = BestWeights.in_state(state) if weights == "best" else None
        if best is not None:
            state, said = {**state, "model": best.model}, {**said, "weights": best.title}
        return Classifier.load(state["model"], said, f"The checkpoint of {run.name}")
    except WeightsError as error:
        raise RunError(str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"The checkpoint of {run.name} is damaged ({type(error).__name__}).") from None


def _load_recorded(run: Run, paths: Sequence[Path]) -> Classifier:
    """Of the gallery, whose files say themselves how their nets are fed."""
    if not paths:
        raise RunError(f"{run.name} came with its curves alone; train its recipe for a net of your own.")
    said = Classifier.read_metadata(read_metadata(paths[0])) | {"dataset": run.config.dataset}
    return Classifier.load(read_weights(paths[0]), said, f"The weights of {run.name}")


def said_by(state: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint and a config (as JSON has it, of any version) say of a net, as `Classifier.load` takes it."""
    said = {name: state[name] for name in IN_CHECKPOINT if name in state}
    augmentation = config.get("augmentation")
    crop = augmentation.get("crop_size") if isinstance(augmentation, Mapping) else None
    return said | {
        "transform": {"crop": crop, "scales": config.get("test_scales", ())},
        "trained_on": dataset_title(str(config.get("dataset", ""))),
    }
