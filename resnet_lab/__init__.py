"""ResNet Lab: read, train, compare and question residual networks."""

import os

__version__ = "0.1.0"

# Before torch is loaded: its threads then sleep while they wait for one another, instead of spinning. A spinning
# thread that shares its core with a browser slows training many times over (docs/performance.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
