"""Many runs in one process do not pile up in its memory."""

import gc
import time

import psutil
import pytest

from resnet_lab.models import ModelSpec
from resnet_lab.runs import RunManager

SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")


@pytest.fixture
def manager(store):
    manager = RunManager(store)
    yield manager
    manager.close(timeout=30)


def test_memory_is_flat_over_twenty_runs(manager, tiny):
    """From the fifth run on, when all that is loaded once has been."""
    config = tiny.replace(variant=SMALL, epochs=2)
    sizes = []
    for _ in range(20):
        run = manager.store.get(manager.submit(config))
        while run.status.is_active:
            time.sleep(0.05)
        assert run.status.state == "completed", run.status.message
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss)
    assert max(sizes[5:]) < 1.05 * sizes[4]
