"""The static check: does a graph break a rule of the toolchain that is to read it?"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from kexport.errors import BadArgument, GraphRefused, UnreadableModel
from kexport.lint.context import Subject
from kexport.lint.dla import RULES as DLA_RULES
from kexport.lint.rule import SEVERITIES, Finding, Rule, Severity
from kexport.lint.rules import RULES
from kexport.targets import Platform, require_dla

__all__ = [
    "DLA_RULES",
    "RULES",
    "SEVERITIES",
    "Finding",
    "Rule",
    "Severity",
    "find",
    "open_onnx",
    "require",
]


def find(model: ir.Model, platform: Platform, *, dla: bool = False) -> tuple[Finding, ...]:
    """Return every place where `model` breaks a rule, the worst first, in the order of the table.

    Args:
        model: any ONNX graph. Rules about types and shapes read those that its values carry.
        platform: a device with a TensorRT.
        dla: hold the graph to the rules of the device's deep-learning accelerator too.

    Raises:
        BadArgument: the platform runs no TensorRT, whose rules these are, or it has no accelerator.
    """
    if platform.toolchain is None:
        raise BadArgument(
            f"'{platform.device.name}' runs {platform.device.engine}, and the rules are TensorRT's",
            hint="choose trt or a Jetson: kexport targets",
        )
    if dla:
        require_dla(platform)
    subject = Subject(model, platform.device, platform.toolchain)
    rules = (*RULES, *DLA_RULES) if dla else RULES
    ordered = sorted(rules, key=lambda rule: SEVERITIES.index(rule.severity))
    return tuple(
        Finding(
            rule.name,
            rule.severity,
            place.node,
            place.operator,
            place.what,
            rule.effect,
            rule.mend,
            rule.source,
        )
        for rule in ordered
        for place in rule.find(subject)
    )


def require(findings: tuple[Finding, ...], name: str, platform: Platform) -> None:
    """Raise GraphRefused if a finding is more than a warning; `name` says whose graph it is."""
    refused = [finding for finding in findings if finding.refuses]
    if not refused:
        return
    first = refused[0]
    where = f"{first.node} ({first.operator})" if first.operator else first.node or "the graph"
    more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    raise GraphRefused(
        f"{name} breaks rules of {platform.toolchain}: {where}: {first.what}; {first.effect}{more}",
        hint=first.mend,
    )


def open_onnx(path: Path) -> ir.Model:
    """Read an ONNX file, infer its types and shapes, and leave external data where it lies.

    Raises:
        UnreadableModel: there is no such file, or it is no ONNX model.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UnreadableModel(
            f"{path} cannot be read: {error.strerror or error}",
            hint="give the path of an ONNX file",
        ) from error
    except DecodeError as error:
        raise _no_onnx(path) from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise _no_onnx(path)
    try:
        return ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    except (ValueError, TypeError, KeyError, onnx.shape_inference.InferenceError) as error:
        raise _no_onnx(path) from error


def _no_onnx(path: Path) -> UnreadableModel:
    return UnreadableModel(
        f"{path} is no ONNX model, or a part of one", hint="export or copy it again"
    )
