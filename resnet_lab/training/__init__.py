"""Training: `TrainConfig` → `fit` → events."""

from resnet_lab.training.config import TrainConfig
from resnet_lab.training.engine import FitResult, TrainingError, fit
from resnet_lab.training.recipes import RECIPES

__all__ = ["RECIPES", "FitResult", "TrainConfig", "TrainingError", "fit"]
