"""What a run must fit to resume from a checkpoint, and the difference in words where it does not."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from resnet_lab.data import Dataset
from resnet_lab.schema import read_json
from resnet_lab.training.config import TrainConfig

FORMAT = 2
# Fields that may change between the parts of a run; all others decide which steps are taken.
FREE = {
    "epochs", "micro_batch", "precision", "channels_last", "compile", "device", "checkpoint_minutes",
    "test_scales", "sync_bn", "weights", "deterministic", "variant",
}  # fmt: skip


@dataclass(frozen=True)
class BestWeights:
    """The weights with the best validation accuracy (0 to 1) so far, on the CPU, and the step that they are of.

    A checkpoint holds them beside its own where those are others, so that each file says all
    (docs/decisions/best-weights.md).
    """

    step: int
    accuracy: float
    model: dict[str, Tensor]

    @classmethod
    def of(cls, model: nn.Module, step: int, accuracy: float) -> BestWeights:
        state = model.state_dict().items()
        return cls(step, accuracy, {name: value.detach().cpu().clone() for name, value in state})

    @classmethod
    def in_state(cls, state: Mapping[str, Any]) -> BestWeights | None:
        """Those of a checkpoint's state; None where it has none yet, or is of a version that did not keep them."""
        best = state.get("best")
        if best is not None:
            weights = dict(zip(state["model"], best["values"], strict=True))
            return cls(best["step"], best["accuracy"], weights)
        is_own = "best" in state and state["best_accuracy"] >= 0
        return cls(state["step"], state["best_accuracy"], state["model"]) if is_own else None

    @property
    def title(self) -> str:
        return f"best weights, of step {self.step:,}"

    def for_state(self, step: int) -> dict[str, Any] | None:
        """Their part in the state of `step`; None where they are its own.

        Values without names, in the order of its own, so that the file holds one state dict, and not two that fit.
        """
        if step == self.step:
            return None
        return {"step": self.step, "accuracy": self.accuracy, "values": list(self.model.values())}


def fingerprint(data: Dataset) -> int:
    """A checksum of all labels and of up to 64 images spread over the set."""
    some = data.images[:: max(len(data) // 64, 1)].cpu().contiguous().numpy().tobytes()
    return zlib.crc32(some, zlib.crc32(data.labels.cpu().numpy().tobytes()))


def describe(config: TrainConfig, train: Dataset) -> dict[str, Any]:
    """The part of a checkpoint's state that says what it is a checkpoint of."""
    return {
        "format": FORMAT,
        "config": config.to_json(),
        "classes": list(train.classes),
        "image_size": train.images.shape[-1],
        "mean": list(train.mean),
        "std": list(train.std),
        "train_size": len(train),
        "fingerprint": fingerprint(train),
    }


def differences(state: dict[str, Any], spec: str, config: TrainConfig, train: Dataset) -> list[str]:
    """In what a checkpoint's state differs from the net (its spec as JSON), recipe and data at hand, in words."""
    found = _fields("the net's", json.loads(state["spec"]), json.loads(spec), {"name"})
    found += _classes(state["classes"], list(train.classes))
    if "config" in state and not found:
        was = TrainConfig.from_record(read_json(state["config"], TrainConfig.what))
        found += _fields("", was.to_dict(), config.to_dict(), FREE)
    if not found and state.get("train_size", len(train)) != len(train):
        found.append(f"{state['train_size']:,} training images (here {len(train):,})")
    if not found and state.get("fingerprint", fingerprint(train)) != fingerprint(train):
        found.append("other training images")
    return found


def _fields(of: str, was: dict[str, Any], now: dict[str, Any], free: set[str]) -> list[str]:
    names = [name for name in now if name not in free and name in was]
    return [
        f"{of} {name} {_short(was[name])} (here {_short(now[name])})".strip()
        for name in names
        if json.dumps(was[name]) != json.dumps(now[name])
    ]


def _classes(was: list[str], now: list[str]) -> list[str]:
    if was == now:
        return []
    gone, new = [c for c in was if c not in now], [c for c in now if c not in was]
    parts = [f"here without {', '.join(map(repr, gone[:3]))}"] if gone else []
    parts += [f"here with {', '.join(map(repr, new[:3]))}"] if new else []
    return [f"{len(was):,} classes ({'; '.join(parts) or 'here in another order'})"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
