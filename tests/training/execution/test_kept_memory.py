"""Freed memory that stays, counted in page faults: pages that the system hands out cleared.

In processes of their own: where a heap has a large hole already, memory comes from there.
"""

import platform
import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
MEGABYTES = 100  # more than glibc would keep by itself
PAGES = MEGABYTES * 2**20 // resource.getpagesize()
PRELUDE = f"""
import resource, torch
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.execution.memory import kept_memory

def faults():
    '''Of ten times writing to fresh memory and freeing it, after the first twenty times.'''
    for i in range(30):
        if i == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones({MEGABYTES} * 2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])
"""


def printed(code):
    output = subprocess.check_output([sys.executable, "-c", PRELUDE + code], text=True)
    return [int(word) for word in output.split()]


def test_freed_memory_is_used_again_without_asking_the_system_until_the_last_run_ends():
    before, kept, held, left = printed(
        """
print(faults())
first, second = kept_memory(), kept_memory()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
print(faults(), resident())
second.__exit__(None, None, None)
print(resident())
"""
    )
    assert before >= 10 * PAGES
    assert kept < PAGES / 10
    assert left < held - PAGES / 2


def test_a_run_keeps_memory_until_it_ends():
    *during, held, left = printed(
        """
config = TrainConfig("resnet20", train_limit=160, batch_size=16, epochs=1, precision="float32", channels_last=False)
seen = []
fit(config, lambda event: seen.append((faults(), resident())), steps=2)
print(seen[-1][0], max(r for _, r in seen), resident())
"""
    )
    assert max(during) < PAGES / 10
    assert left < held - PAGES / 2
