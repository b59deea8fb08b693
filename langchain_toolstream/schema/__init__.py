"""What a tool accepts, and what it is given."""
