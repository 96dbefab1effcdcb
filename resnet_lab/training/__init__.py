"""Training: `TrainConfig` → `fit` → events."""

from typing import TYPE_CHECKING

from resnet_lab.lazy import on_demand

if TYPE_CHECKING:
    from resnet_lab.training.config import TrainConfig
    from resnet_lab.training.evaluation import Evaluation, evaluate
    from resnet_lab.training.loop import fit
    from resnet_lab.training.recipes import RECIPES
    from resnet_lab.training.result import FitResult, TrainingError
else:
    __getattr__ = on_demand(__name__)

__all__ = ["RECIPES", "Evaluation", "FitResult", "TrainConfig", "TrainingError", "evaluate", "fit"]
