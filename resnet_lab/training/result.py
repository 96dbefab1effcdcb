"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_lab.models import ResNet
from resnet_lab.models.classifier import Classifier


class TrainingError(RuntimeError):
    """A run that cannot begin or go on; the message says why and what to do, in one sentence."""


@dataclass(frozen=True)
class FitResult:
    """`outcome` is "completed" or "stopped"; accuracies are 0 to 1, None if not measured.

    `net` is what was tested, with the best weights by validation, of step `tested_step`; of a run that was stopped the
    net as it is then, or None if there was none yet.
    """

    outcome: str
    step: int
    total_steps: int
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    tested_step: int | None = None
    net: Classifier | None = None

    @property
    def model(self) -> ResNet | None:
        """Of `net`, in eval mode."""
        return None if self.net is None else self.net.model
