"""Tools that return artifacts, and how other tools take them."""
