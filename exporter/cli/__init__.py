"""The command line: it parses, calls the Python API, and prints. Only here are click and rich."""

from kexport.cli.entry import main

__all__ = ["main"]
