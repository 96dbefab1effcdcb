"""The net that a run begins with: freshly drawn, or from weights with a head for the data at hand."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from resnet_lab.models import ResNet, imagenet_weights, init_model
from resnet_lab.models.weights import load_backbone
from resnet_lab.training.config import TrainConfig


def build_model(config: TrainConfig, num_classes: int, device: torch.device, fresh: bool = True) -> ResNet:
    """The net of `config` on `device`; its weights are drawn by the seed, and then replaced by `config.weights`.

    With `fresh` false the weights are left as drawn, for a checkpoint to replace. The global random state
    stays as it was.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
    """
    model = init_model(config.spec, config.seed, num_classes)
    if config.weights is not None and fresh:
        if config.weights == "imagenet":
            load_backbone(
                model, imagenet_weights(config.spec.name).model.state_dict(), "torchvision's weights"
            )
        else:
            load_backbone(model, Path(config.weights))
    if config.backbone_lr == 0:
        model.requires_grad_(False)
        model.fc.requires_grad_(True)
    if config.sync_bn:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model.to(device)
