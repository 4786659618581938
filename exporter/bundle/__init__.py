"""Writes bundles."""

FINISHING = "finishing"
"""The step of an export from which on it is too late to stop: all that follows takes no time."""
