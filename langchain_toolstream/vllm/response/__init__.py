"""What comes from the server."""
