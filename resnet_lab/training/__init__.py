"""Training: `TrainConfig` → `fit` → events."""

from resnet_lab.training.config import TrainConfig
from resnet_lab.training.evaluation import Evaluation, evaluate
from resnet_lab.training.loop import fit
from resnet_lab.training.recipes import RECIPES
from resnet_lab.training.result import FitResult, TrainingError

__all__ = ["RECIPES", "Evaluation", "FitResult", "TrainConfig", "TrainingError", "evaluate", "fit"]
