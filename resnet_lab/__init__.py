"""ResNet Lab: read, train, compare and question residual networks."""

__version__ = "0.1.0"
