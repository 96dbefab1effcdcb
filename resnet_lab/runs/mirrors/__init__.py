"""Runs told to other tools as well: TensorBoard files in the run's folder (docs/decisions/mirrors.md)."""
