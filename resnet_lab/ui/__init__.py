"""Shared widgets; the only package code that imports streamlit."""
