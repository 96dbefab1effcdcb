"""Runs told to other tools as well: TensorBoard files in the run's folder, and an MLflow server.

A mirror can fail without a run noticing more than one `Notice`; docs/decisions/mirrors.md.
"""
