"""How conversion says no."""

from __future__ import annotations

from typing import Any, NoReturn

from kexport.errors import UnsupportedModel


def refuse(layer: Any, argument: str, value: object, wanted: str) -> NoReturn:
    """Refuse a layer for one of its arguments.

    Raises:
        UnsupportedModel: always, naming the layer, the argument and what would do.
    """
    raise UnsupportedModel(
        f"layer {layer.name!r} ({type(layer).__name__}) has {argument}={value!r}, "
        f"which has no ONNX form here",
        hint=f"use {wanted}, or take this layer out of the exported model",
    )


class NoRule(Exception):
    """Raised by a rule, before it emits anything, for a call that it has no exact form for.

    The call is then traced as if its class had no rule.
    """
