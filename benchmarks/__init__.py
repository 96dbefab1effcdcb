"""Measurements: each prints one table, with device, sample size and spread."""
