"""Weights files of whoever's: read without running code, and matched to a net."""
