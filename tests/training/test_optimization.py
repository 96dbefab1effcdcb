"""Schedules against torch's schedulers."""

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from resnet_lab.models import create_model
from resnet_lab.training import TrainConfig
from resnet_lab.training.optimization import build_optimizer, learning_rate

STEPS = 7  # an epoch


def ours(**fields):
    config = TrainConfig(epochs=6, lr=0.3, **fields)
    return [learning_rate(config, step, STEPS) for step in range(6 * STEPS)]


def theirs(make, per_epoch=False):
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(optimizer)
    rates = []
    for step in range(6 * STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 6 * STEPS - 1 and (not per_epoch or (step + 1) % STEPS == 0):
            scheduler.step()
    return rates


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=6 * STEPS, cycle_momentum=False)


@pytest.mark.parametrize(
    ("fields", "make", "per_epoch"),
    [
        ({"schedule": "constant"}, lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0), False),
        (
            {"schedule": "step", "step_epochs": 2, "gamma": 0.5},
            lambda o: lr_scheduler.StepLR(o, 2, 0.5),
            True,
        ),
        (
            {"schedule": "multistep", "milestones": (2, 5)},
            lambda o: lr_scheduler.MultiStepLR(o, [2, 5]),
            True,
        ),
        ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, 6 * STEPS), False),
        ({"schedule": "onecycle"}, one_cycle, False),
    ],
)
def test_schedule_equals_torchs(fields, make, per_epoch):
    assert ours(**fields) == pytest.approx(theirs(make, per_epoch), abs=1e-9)


def test_warm_up_is_linear_and_then_the_schedule_begins():
    rates = ours(schedule="constant", warmup_epochs=1)
    assert rates[:STEPS] == pytest.approx([0.3 * (i + 1) / 8 for i in range(STEPS)])
    assert rates[STEPS:] == [0.3] * (5 * STEPS)
    cosine = ours(schedule="cosine", warmup_epochs=2)
    assert cosine[2 * STEPS] == 0.3
    assert cosine[-1] < 0.01


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        ({"optimizer": "sgd"}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}),
        ({"optimizer": "adam", "weight_decay": 0.0}, torch.optim.Adam, {"betas": (0.9, 0.999)}),
        ({"optimizer": "adamw", "weight_decay": 0.05}, torch.optim.AdamW, {"weight_decay": 0.05}),
    ],
)
def test_optimizers(fields, kind, expected):
    model = create_model("resnet20")
    optimizer = build_optimizer(TrainConfig(**fields), model)
    assert type(optimizer) is kind
    assert expected.items() <= optimizer.param_groups[0].items()
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))


def test_without_milestones_the_rate_falls_at_half_and_three_quarters():
    """He et al. 2015, Sec. 4.2: 32k and 48k of 64k steps."""
    config = TrainConfig(schedule="multistep", epochs=200)
    rates = [learning_rate(config, epoch * 10, 10) for epoch in (0, 99, 100, 149, 150, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
