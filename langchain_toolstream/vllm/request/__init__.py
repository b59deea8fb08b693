"""What is sent to the server."""
