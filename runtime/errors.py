"""Errors of a bundle's runtime, each with its own exit status.

RuntimeFault           1
├── BundleRefused     14
├── BadImage          15
├── BadInput          16
└── EngineMissing     17

A bundle carries its own copy of this folder, so these classes are independent of the exporter's
errors. They have the same form: a message that says what happened and to what, and a hint that says
what to do next.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base class of all faults; only the four subclasses are raised.

    `hint` is an imperative that says what to do next, or None. `exit_code` is the exit status of a
    program that fails with it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BundleRefused(RuntimeFault):
    """The folder is not a bundle, or its files do not match its manifest."""

    exit_code = 14


class BadImage(RuntimeFault):
    """An image is missing, damaged, or not an image."""

    exit_code = 15


class BadInput(RuntimeFault):
    """An array, a name or a number is not valid for the model or the call."""

    exit_code = 16


class EngineMissing(RuntimeFault):
    """A library that the bundle needs to run is not installed: its engine, NumPy or Pillow."""

    exit_code = 17
