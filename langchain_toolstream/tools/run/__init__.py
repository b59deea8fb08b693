"""How calls run: one call, many calls, and their limits."""
