"""From an int8 graph with a float32 rest to one whose rest is float16."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport import pipeline
from kexport.artifact import Artifact
from kexport.calibration.float16 import Guard, guard
from kexport.calibration.observe import observe
from kexport.calibration.progress import Say
from kexport.calibration.running import Batches

Array = np.ndarray[Any, Any]

OBSERVED = 8
"""Pictures on which is seen what float16 cannot hold."""


def halve(artifact: Artifact, images: Array, say: Say) -> tuple[Artifact, Guard]:
    """The graph with float16 scales, weights and arithmetic, and what stays in float32.

    Args:
        artifact: a finished graph of opset 19 or higher, whose scales float16 holds.
        images: pictures as it takes them, batch first; the first `OBSERVED` are run.
        say: called with a few words at the start of every step.
    """
    artifact = pipeline.continue_with(artifact, pipeline.BEFORE_FLOAT16, say)
    say("observing the values of every tensor")
    (given,) = artifact.model.graph.inputs
    batches = Batches(artifact.model, images[:OBSERVED])
    feeds = [{given.name or "": batch} for batch in batches]
    seen = guard(artifact.model, observe(artifact.model, *feeds))
    passes = pipeline.rest_in_float16(frozenset(node.node for node in seen.kept))
    return pipeline.continue_with(artifact, passes, say), seen
