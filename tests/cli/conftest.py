"""Fixtures for the tests of the command line."""

from fake_export import fake_export

__all__ = ["fake_export"]
