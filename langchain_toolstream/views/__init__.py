"""A value while it is written."""
