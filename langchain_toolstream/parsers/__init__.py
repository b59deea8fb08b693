"""Output parsers: the calls of a message, whole or while they are written."""
