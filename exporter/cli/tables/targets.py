"""Tables of `kexport targets` and `kexport check`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kexport.cli.tables.table import headed, pairs

if TYPE_CHECKING:
    from kexport.lint import Finding
    from kexport.targets import Device, JetPack, Platform, TensorRT, ToolchainRelease

NOT_KNOWN = "not known"


def devices_table(devices: Iterable["Device"]) -> Table:
    """List targets, each for the newest toolchain of its device."""
    from kexport.targets import of_device

    rows = headed("target", "opset", "toolchain", "device", right=("opset",))
    for device in devices:
        for target in of_device(device):
            rows.add_row(
                target.name, str(target.opset), str(target.toolchain or ""), target.description
            )
    return rows


def device_table(device: "Device") -> Table:
    """List all facts about a device, each with its source."""
    facts = {
        "opset": device.opset,
        "precisions": device.precisions,
        "hardware": device.hardware,
        "sm": device.sm,
        "modules": device.modules
        and "\n".join(
            f"{module.name}: {module.memory_gb} GB, DLA cores: {module.dla_cores}"
            for module in device.modules
        ),
        "jetpacks": device.jetpacks,
        "tensorrts": device.tensorrts,
        "rtx_releases": device.rtx_releases,
        "rtx_rules": device.rtx_rules,
        "compute_capabilities": device.compute_capabilities,
        "providers": device.providers,
        "blocked_layout": device.blocked_layout,
    }
    rows = [
        ("device", device.name),
        ("", device.description),
        ("targets", ", ".join(f"{device.name}-{precision}" for precision in device.precisions)),
        ("engine", device.engine),
    ]
    return pairs([*rows, *_facts(facts, device.source)])


def toolchains_table(toolchains: Iterable["ToolchainRelease"]) -> Table:
    """List toolchains, the default first."""
    names = ("JetPack", "TensorRT", "CUDA", "cuDNN", "Python", "Ubuntu", "opset", "images")
    rows = headed(*names, right=("opset",))
    for toolchain in toolchains:
        row = toolchain.bundle
        libraries = ("",) * 4 if row is None else (row.cuda, row.cudnn, row.python, row.ubuntu)
        rules = toolchain.rules
        images = "uint8" if rules.uint8_input else "float32"
        jetpack, halved = toolchain.jetpack or "", rules.opset_of("int8")
        opset = f"{rules.opset}{'' if halved == rules.opset else f', int8 {halved}'}"
        numbers = f"{opset} of {rules.opset_cap}"
        rows.add_row(jetpack, toolchain.tensorrt, *libraries, numbers, images)
    return rows


def toolchain_table(toolchain: "ToolchainRelease") -> Table:
    """List all facts about a toolchain, each with its source."""
    rows = [("toolchain", str(toolchain))]
    if toolchain.bundle is not None:
        rows += _facts(_fields(toolchain.bundle), toolchain.bundle.source)
    rows.append(("rules", f"those of TensorRT {toolchain.rules.name}"))
    rows += _facts(_fields(toolchain.rules), toolchain.rules.source)
    return pairs(rows)


def findings_tables(
    model: Path, platform: "Platform", findings: Iterable["Finding"]
) -> Iterator[Table]:
    """Yield a summary, then a table for each broken rule: places, effect, fix and source."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    count = sum(map(len, by_rule.values()))
    rows = [
        ("model", str(model)),
        ("device", platform.device.name),
        ("toolchain", str(platform.toolchain)),
        ("findings", str(count) if count else "none"),
    ]
    yield pairs(rows)
    for rule, places in by_rule.items():
        first = places[0]
        rows = [("", ""), (first.severity, rule)]
        for finding in places:
            where = f"{finding.node} ({finding.operator})" if finding.operator else finding.node
            rows.append(("", f"{where or 'the graph'}: {finding.what}"))
        rows += [("effect", first.effect), ("fix", first.mend), ("source", first.source)]
        yield pairs(rows)


def _fields(row: "JetPack | TensorRT") -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__ if name not in ("name", "source")}


def _facts(facts: Mapping[str, Any], source: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if name not in source:
            continue
        first, *others = (NOT_KNOWN if value is None else _text(value)).split("\n")
        yield name, first
        yield from (("", line) for line in others)
        yield "", f"source: {source[name]}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
