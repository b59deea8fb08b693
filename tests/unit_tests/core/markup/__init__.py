"""Tests of reading a model's own markup."""
