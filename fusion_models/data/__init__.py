"""The as-of door, windows, scaling and the data module."""
