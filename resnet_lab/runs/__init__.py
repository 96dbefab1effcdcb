"""Run directories: written by whoever trains, read by whoever looks."""

from typing import TYPE_CHECKING

from resnet_lab.lazy import on_demand

if TYPE_CHECKING:
    from resnet_lab.runs.cluster.manager import manager_from_environment
    from resnet_lab.runs.files import RunError
    from resnet_lab.runs.manager import RunManager, execute
    from resnet_lab.runs.model import load_run_model
    from resnet_lab.runs.run import Run
    from resnet_lab.runs.status import RunStatus
    from resnet_lab.runs.store import RunStore
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "Run",
    "RunError",
    "RunManager",
    "RunStatus",
    "RunStore",
    "execute",
    "load_run_model",
    "manager_from_environment",
]
