"""The page docs/targets.md: devices, toolchains and the rules of `kexport check`.

Run `python docs/make_targets.py` after changing targets/ or exporter/lint/. A test compares the
page with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kexport import lint, targets
from kexport.targets import Device, JetPack, TensorRT

PAGE = Path(__file__).with_name("targets.md")

HEAD = """# Targets, toolchains, rules

`python docs/make_targets.py` writes this page from [targets/](../targets) and
[exporter/lint/](../exporter/lint); a test compares the page with them.

A target is a device and a precision, such as `jetson-orin-fp16`. On a Jetson, the JetPack
determines the TensorRT that reads the graph, and with it the ONNX opset, the operators and the
type of the images. Name it with `--jetpack`; the default is the newest that the device can run.
The beginning of a version is enough: `5.1` is the newest 5.1.x. The manifest's `toolchain`
records the choice.

```sh
kexport targets jetson-orin
kexport targets jetson-orin --jetpack 6.2
kexport examples/digits/digits.keras --target jetson-orin-fp16 --jetpack 6.2 --preprocess tf
```

`kexport targets` gives the source of every fact, and `--json` all of them as data. No Jetson was
available when this was written: the facts come from NVIDIA's pages, from the source of the ONNX
parser, or from users' reports. A \\* marks facts that were not found on a page.

## Devices

"""

JETPACKS = """
## JetPacks

"""

TENSORRTS = """
## TensorRT

kexport writes the opset in the second column, and refuses one above the third, because the
parser does not check it. Typing is *weak* if the builder's flags choose the precision, *strong*
if the graph's types do, and *either* on TensorRT 10, where kexport's float16 graphs are meant
for `--stronglyTyped`. Operators that a toolchain does not import are replaced by a formula in
other operators: LayerNormalization before 8.6, HardSwish before 8.4, Gelu and Mish before 10.0.
From TensorRT 10 on, INT8 is written in opset 19 with float16 scales.

"""

RULES = """
## Rules

Every graph for `trt` or a Jetson is checked against these rules before its bundle is written;
warnings are recorded in the manifest. `kexport check` applies them to any ONNX file, int8 graphs
included. Nothing is run, and no GPU is needed:

```sh
kexport check digits-jetson-orin-fp16/model.onnx --target jetson-orin --jetpack 5.1
```

`--dla` adds the rules of the deep-learning accelerator, and lists the nodes that would run on
the GPU instead. Severities: *silent* means that the graph builds and computes something else,
*error* that it does not build, *warning* that it may be intended. The exit status is 18 if there
is a silent fault or an error, and 0 otherwise. A graph without findings can still fail on the
device, because the rules cover only known and documented faults: [check.md](check.md) says how
often, on the models of ONNX's own tests. What an importer refuses of an operator is a row in
[limits.py](../exporter/lint/limits.py), by attribute, type, rank and release, with its source.

In a bundle's folder an open axis is no fault, because its build program gives a profile. A float16
or int8 export is refused where a value exceeds float16 and the toolchain cannot keep a layer in
float32, as TensorRT 8.2 cannot.

"""


def page() -> str:
    """Return the page as it should be."""
    names = (
        "device",
        "SM",
        "modules: memory, DLA cores",
        "computes in",
        "kexport writes",
        "JetPacks",
    )
    devices = [_device(device) for device in targets.devices()]
    packs = [_jetpack(row) for row in targets.jetpacks()]
    versions = ("JetPack", "TensorRT", "CUDA", "cuDNN", "Python", "Ubuntu", "L4T")
    rules = [_tensorrt(row) for row in targets.tensorrts()]
    columns = (
        "TensorRT",
        "opset",
        "at most",
        "typing",
        "uint8 input",
        "DLA",
        "operators that are new",
    )
    broken = [
        (f"[{rule.name}]({rule.source})", rule.severity, rule.effect, rule.fix)
        for rule in sorted(
            (*lint.RULES, *lint.DLA_RULES), key=lambda rule: lint.SEVERITIES.index(rule.severity)
        )
    ]
    notes = [
        f"\nJetPack {row.releases[0]}: {row.note}\n([source]({_url(row.source['note'])})).\n"
        for row in targets.jetpacks()
        if row.note != "none known"
    ]
    return "".join(
        [
            HEAD,
            *_table(names, devices),
            JETPACKS,
            *_table(versions, packs),
            *notes,
            TENSORRTS,
            *_table(columns, rules),
            RULES,
            *_table(("rule", "severity", "on the device", "fix"), broken),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


def _device(device: Device) -> tuple[str, ...]:
    modules = [
        f"{module.name}: {module.memory_gb} GB, {module.dla_cores}"
        for module in device.modules or ()
    ]
    packs = device.jetpacks or ()
    span = f"{packs[0]} to {packs[-1]}" if packs else None
    return (
        f"`{device.name}`",
        _fact(device.sm, device.source.get("sm", "")),
        _fact("<br>".join(modules), device.source.get("modules", "")),
        ", ".join(device.hardware or ()),
        ", ".join(device.precisions),
        _fact(span, device.source.get("jetpacks", "")),
    )


def _jetpack(row: JetPack) -> tuple[str, ...]:
    names = ("tensorrt", "cuda", "cudnn", "python", "ubuntu", "l4t")
    facts = [_fact(getattr(row, name), row.source[name]) for name in names]
    if row.sbsa_tensorrt:
        devices = ", ".join(row.sbsa_devices or ())
        facts[0] += f"; {row.sbsa_tensorrt} on top from {row.sbsa_release} on ({devices})"
    return (_fact(", ".join(row.releases), row.source["releases"]), *facts)


def _tensorrt(row: TensorRT) -> tuple[str, ...]:
    span = row.releases[0] if len(row.releases) == 1 else f"{row.releases[0]} to {row.releases[-1]}"
    rows = targets.tensorrts()
    older = rows[rows.index(row) - 1].operators if row != rows[0] else None
    new = [name for name in row.operators if older is not None and name not in older]
    return (
        span,
        str(row.opset),
        _fact(str(row.opset_cap), row.source["opset_cap"]),
        row.typing,
        "yes" if row.uint8_input else "no",
        "yes" if row.dla else "no",
        ", ".join(new) if older is not None else f"the first {len(row.operators)}",
    )


def _fact(value: str | None, source: str) -> str:
    mark = "\\*" if "not verified" in source or "not found" in source else ""
    return "" if value is None else f"{value}{mark}"


def _url(source: str) -> str:
    return source[source.index("https://") :]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
