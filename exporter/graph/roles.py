"""Roles of nodes in the image input, which later stages read.

A role is kept in `ir.Node.meta`: `ir.Model.clone` copies it, and it is not written to a file.
"""

from __future__ import annotations

from enum import Enum

import onnx_ir as ir

_KEY = "kexport.role"


class Role(Enum):
    """The result of a node in the image input."""

    COORDINATES = "coordinates"
    """The pixels that a resize reads, and their weights. float16 cannot tell them apart."""
    PIXELS = "pixels"
    """The pixels of the model's input: decoded, converted to grey, resized."""


def role_of(node: ir.Node) -> Role | None:
    """Return the role of a node; None for every node outside the image input."""
    role = node.meta.get(_KEY)
    return role if isinstance(role, Role) else None


def set_role(node: ir.Node, role: Role | None) -> None:
    """Give a node a role; None leaves it without one."""
    if role is not None:
        node.meta[_KEY] = role
