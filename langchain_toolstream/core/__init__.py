"""The mind of the package: text and deltas in, events out. Standard library only, no I/O."""
