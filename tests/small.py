"""What tests of runs and of training share: a net that is small enough, and one thread for it."""

import pytest

from resnet_lab.models import ModelSpec

RESNET8 = ModelSpec("resnet8", (3, 3), (1, 1, 1), width=8, stem="cifar", shortcut="pad")


@pytest.fixture
def tiny(tiny):
    """The same run of a net with a tenth of the arithmetic: what is asked here is not how well it learns."""
    return tiny.replace(variant=RESNET8)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Nets as small as these gain nothing from a second one."""
