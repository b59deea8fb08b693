"""What the client reads from a real vLLM, whatever its flags; and what `strict=True` holds."""
