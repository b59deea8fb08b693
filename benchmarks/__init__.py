"""What a delta costs, here and in the peers, measured in one process: `python -m benchmarks`."""
