"""Structured answers: the constraint that is sent, and the parser of what comes."""
