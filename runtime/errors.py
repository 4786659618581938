"""Every fault a bundle's runtime can report, each with its own exit status.

RuntimeFault           1
├── BundleRefused     14
├── BadImage        15
├── BadInput          16
└── EngineMissing     17

A bundle carries its own copy of this folder, so the tree stands apart from the exporter's errors
but keeps to the same shape: a message that says what happened and to what, a hint that says what to
do next.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base class of all faults; what is raised is always one of the four below.

    `hint` is an imperative that says what to do next, or None. `exit_code` is the status with which
    a program that meets the fault ends.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BundleRefused(RuntimeFault):
    """The folder is no bundle, or its files are not what its manifest says."""

    exit_code = 14


class BadImage(RuntimeFault):
    """An image is missing, damaged, or not an image."""

    exit_code = 15


class BadInput(RuntimeFault):
    """An array, a name or a number that the model or this call cannot take."""

    exit_code = 16


class EngineMissing(RuntimeFault):
    """A library that the bundle needs to run is not installed: its engine, NumPy or Pillow."""

    exit_code = 17
