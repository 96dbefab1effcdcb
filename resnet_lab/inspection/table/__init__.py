"""The layer table: one pass on the meta device, its records, and how they are summed and written."""
