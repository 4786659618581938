"""Command line: parses, calls the Python API, and prints. Only this package uses click and rich."""

from kexport.cli.entry import main

__all__ = ["main"]
