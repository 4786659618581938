"""What Keras keeps beside a tensor: its mask, and for a softmax the logits that went in."""

from __future__ import annotations

from typing import Any

from kexport.keras_graph.masks import mask_of, set_mask


def logits_before(output: Any) -> Any:
    """Return the input of the softmax that made `output`; None where Keras recorded none.

    `keras.activations.softmax` and `keras.ops.softmax` keep it for losses computed from logits. A
    sigmoid keeps its input in the same way.
    """
    return getattr(output, "_keras_logits", None)


def carry_over(source: Any, changed: Any) -> Any:
    """Give `changed`, which takes the place of `source`, the mask and logits of `source`."""
    mask = mask_of(source)
    if mask is not None:
        set_mask(changed, mask)
    logits = logits_before(source)
    if logits is not None:
        changed._keras_logits = logits
    return changed
