"""Bundles: the files of an export, and how they are published."""

FINISHING = "finishing"
"""The last step of an export, which Ctrl-C does not stop any more, as it takes next to no time."""
