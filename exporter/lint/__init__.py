"""ONNX lint: check a graph against the rules of the toolchain that will parse it."""

from __future__ import annotations

import onnx
import onnx.inliner
import onnx_ir as ir

from kexport.errors import BadArgument, GraphRefused
from kexport.lint.context import LintContext
from kexport.lint.dla import RULES as DLA_RULES
from kexport.lint.onnx_file import open_onnx
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


def find(
    model: ir.Model, platform: Platform, *, dla: bool = False, profiled: bool = False
) -> tuple[Finding, ...]:
    """Return every violation of a rule in `model`, the worst first, in the order of the table.

    Args:
        model: any ONNX graph. Rules about types and shapes use those recorded in its values.
        platform: a device with a TensorRT.
        dla: also apply the rules of the device's deep-learning accelerator.
        profiled: the engine is built with an optimisation profile, as bundles are.

    Raises:
        BadArgument: the platform does not run TensorRT, or it has no deep-learning accelerator.
    """
    if platform.toolchain is None:
        raise BadArgument(
            f"'{platform.device.name}' runs {platform.device.engine}, but the rules are TensorRT's",
            hint="choose trt or a Jetson: kexport targets",
        )
    if dla:
        require_dla(platform)
    calls = tuple(
        node for node in model.graph.all_nodes() if node.op_identifier() in model.functions
    )
    flat = _inlined(model) if calls else model
    context = LintContext(flat, platform.device, platform.toolchain, calls, profiled)
    rules = (*RULES, *DLA_RULES) if dla else RULES
    ordered = sorted(rules, key=lambda rule: SEVERITIES.index(rule.severity))
    return tuple(
        Finding(
            rule.name,
            rule.severity,
            violation.node,
            violation.operator,
            violation.message,
            rule.effect,
            rule.fix,
            violation.source or rule.source,
        )
        for rule in ordered
        for violation in rule.find(context)
    )


def require(findings: tuple[Finding, ...], name: str, platform: Platform) -> None:
    """Raise GraphRefused if a finding is more than a warning; `name` is the model's."""
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


def _inlined(model: ir.Model) -> ir.Model:
    """Return a model with the bodies of its functions in place of the calls, types inferred."""
    proto = onnx.inliner.inline_local_functions(ir.to_proto(model))
    flat = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    flat.meta.update(model.meta)
    return flat
