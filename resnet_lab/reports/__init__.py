"""Runs → text, tables and figures: what a page shows and the command line writes."""
