"""The range test climbs from a rate that is too low to one that is too high, and touches nothing."""

import itertools

import pytest
import torch

from resnet_lab.training import fit
from resnet_lab.training.events import Checkpoint
from resnet_lab.training.range_test import HIGHEST, LOWEST, STEPS, propose, range_test


@pytest.fixture
def config(tiny):
    return tiny.replace(train_limit=400, batch_size=32)


def test_the_rate_grows_evenly_until_the_loss_breaks(config):
    heard = []
    result = range_test(config, heard.append)
    ratios = [b / a for a, b in itertools.pairwise(result.rates)]
    assert ratios == pytest.approx([(HIGHEST / LOWEST) ** (1 / (STEPS - 1))] * len(ratios))
    assert result.rates[0] == pytest.approx(LOWEST)
    assert len(result.rates) == len(result.losses) == len(result.smoothed) == len(heard)
    assert heard == sorted(heard)
    assert 1e-3 < result.proposal < 1
    best = result.rates[result.smoothed.index(min(result.smoothed))]
    assert result.proposal == pytest.approx(best / 10, rel=0.05)


def test_the_first_losses_are_those_of_a_run_with_a_tiny_rate(config):
    """At a rate of 1e-5 the net is as good as untouched."""
    a, b = range_test(config), range_test(config)
    assert a == b
    assert a.losses[0] == pytest.approx(2.3, abs=0.8)


def test_weights_runs_and_random_state_are_left_alone(config):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    range_test(config, should_stop=iter([False] * 50 + [True] * 10**6).__next__)
    assert torch.equal(torch.get_rng_state(), before)
    events = []
    fit(config.replace(epochs=1), events.append)
    again = []
    range_test(config)
    fit(config.replace(epochs=1), again.append)
    states = [[e for e in each if isinstance(e, Checkpoint)][-1].state["model"] for each in (events, again)]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_proposals_by_hand():
    assert propose([1e-4, 1e-3, 1e-2, 1e-1], [2.3, 2.0, 1.0, 3.0]) == 1e-3
    assert propose([1e-4, 1e-3], [2.0, 2.3]) is None
    assert propose([], []) is None
