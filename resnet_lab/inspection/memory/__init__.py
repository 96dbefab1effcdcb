"""The memory of one training step: estimated and measured."""
