"""ResNet Lab: read, train, compare and question residual networks."""

import os

__version__ = "0.1.0"

# Before torch is loaded: its OpenMP threads then spin only briefly while they wait for one another, and sleep after
# that. Long spins on a core that a browser wants slow training many times over (docs/decisions/openmp-spin.md).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Without it torch refuses deterministic mode on a GPU; it costs some 24 MiB there (torch.use_deterministic_algorithms).
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
