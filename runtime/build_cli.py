"""What `python build_engine.py` does: build the engine of the bundle it lies in, and verify it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import engine_record
from .build_plan import RTX, Log, Wishes, build, check_opset, flags_for, workspace_for
from .cli import PARITY_FAILED, tell
from .engine_record import Flags, Place, Record
from .errors import BadInput, BundleRefused, EngineMissing, RuntimeFault
from .file_hashes import check_files
from .gpu import Cuda, Gpu
from .manifest import MODEL, Manifest, read_manifest
from .optimization_profile import profile_of, shapes_of
from .terminal import printable
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = ("tensorrt", RTX)
_MIB = 1 << 20
_INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """One engine to build: from what, into which folder, and how."""

    bundle: Path
    output: Path
    trt: Any
    place: Place
    wishes: Wishes


def main(bundle: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the command on a bundle and return the exit status.

    The result goes to standard output (lines, or with `--json` one object), faults to standard
    error. An engine that is there and fits this machine, the model and the flags is kept.
    """
    options = _parser().parse_args(arguments)
    log = Log(verbose=options.log is not None)
    try:
        manifest = read_manifest(bundle)
        check_files(bundle, manifest)
        job = _job(bundle, manifest, options)
        report = _built(job, log, options)
        if options.verify:
            verification = verify(bundle, engine="tensorrt")
            report["verification"] = verification.as_dict()
            report["text"] += ["", *str(verification).split("\n")]
            status = 0 if verification.passed else PARITY_FAILED
        else:
            status = 0
    except RuntimeFault as fault:
        tell(fault)
        return fault.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if options.log is not None:
            options.log.write_text("\n".join(log.details), encoding="utf-8")
    text = "\n".join(map(printable, report.pop("text")))
    sys.stdout.write((json.dumps(report, indent=2) if options.json else text) + "\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build_engine.py",
        description="Build engine_record.plan from model.onnx, on the device that is to run it.",
    )
    add = parser.add_argument
    add("--verify", action="store_true", help="then run the golden samples on the engine")
    add("--force", action="store_true", help="build even if the engine that is there fits")
    add("--workspace", type=int, metavar="MIB", help="scratch memory (default: by the device's)")
    add("--builder-optimization-level", type=int, metavar="N", help="0 to 5 (default: TensorRT's)")
    add("--version-compatible", action="store_true", help="for later releases of TensorRT too")
    add("--hardware-compatibility-level", choices=engine_record.HARDWARE, default="none")
    add("--use-dla-core", type=int, metavar="N", help="a deep-learning accelerator of a Jetson")
    for name in ("min", "opt", "max"):
        add(f"--{name}-shapes", type=_shapes, default={}, metavar="NAME:1x224x224x3")
    add("--timing-cache-file", type=Path, metavar="FILE", help="(default: timing.cache)")
    add("--module", choices=MODULES, help="which TensorRT (default: the bundle's)")
    add("--compute-capabilities", metavar="8.6,8.9", help="for TensorRT-RTX: needs no GPU then")
    add("--output", type=Path, metavar="DIR", help="where the engine goes (default: the bundle)")
    add("--log", type=Path, metavar="FILE", help="write down all that the builder says")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def _shapes(text: str) -> dict[str, list[int]]:
    try:
        return shapes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _job(bundle: Path, manifest: Manifest, options: argparse.Namespace) -> Job:
    entry = manifest.data.get("build")
    if entry is None:
        raise BundleRefused(
            f"{bundle} was exported for {manifest.target}, which has no engine to build",
            hint="export for trt, rtx or a Jetson",
        )
    module = options.module or entry["builder"]
    trt = _imported(module)
    check_opset(trt, manifest.data["target"]["opset"])
    capabilities = _capabilities(module, entry, options)
    gpu = None if module == RTX else Cuda().gpu
    if options.verify and options.output not in (None, bundle):
        raise BadInput("--verify runs the engine in the bundle", hint="leave out --output")
    shapes = (options.min_shapes, options.opt_shapes, options.max_shapes)
    flags = Flags(
        workspace=_workspace(options, gpu),
        optimization_level=options.builder_optimization_level,
        version_compatible=options.version_compatible,
        hardware_compatibility=options.hardware_compatibility_level,
        dla_core=options.use_dla_core,
        profile=profile_of(manifest.inputs, shapes),
    )
    flags = flags_for(trt, manifest.data["target"]["precision"], flags)
    place = (
        Place(module, trt.__version__, engine_record.system(), None, capabilities)
        if gpu is None
        else engine_record.here(module, trt.__version__, gpu)
    )
    wishes = Wishes(flags, frozenset(entry["float32_layers"]), capabilities)
    return Job(bundle, options.output or bundle, trt, place, wishes)


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        brings = "it comes with JetPack" if module == "tensorrt" else ""
        raise EngineMissing(
            f"{module} is needed to build an engine: {error}",
            hint=f"run: pip install {module.replace('_', '-')}{brings and f' ({brings})'}",
        ) from error


def _capabilities(
    module: str, entry: dict[str, Any], options: argparse.Namespace
) -> tuple[str, ...]:
    said = options.compute_capabilities
    if module != RTX:
        if said is not None:
            raise BadInput(
                "TensorRT builds for the GPU that it runs on",
                hint="leave out --compute-capabilities",
            )
        return ()
    if said is not None:
        return tuple(said.split(","))
    return tuple(entry["compute_capabilities"])


def _workspace(options: argparse.Namespace, gpu: Gpu | None) -> int | None:
    if options.workspace is not None:
        return int(options.workspace) * _MIB
    return None if gpu is None else workspace_for(gpu.memory, gpu.integrated)


def _built(job: Job, log: Log, options: argparse.Namespace) -> dict[str, Any]:
    """Build, unless what is there will do; say what came of it."""
    model = engine_record.hash_of_model(job.bundle)
    there = None if options.force else _fitting(job, model)
    if there is not None:
        text = [f"{job.output / engine_record.PLAN} is there and fits; build again with --force"]
        return {"built": False, "engine": asdict(there), "text": text}
    cache = options.timing_cache_file or job.output / engine_record.TIMING_CACHE
    known = cache.read_bytes() if cache.exists() else b""
    built = build(job.trt, job.bundle / MODEL, job.wishes, log, known)
    job.output.mkdir(parents=True, exist_ok=True)
    record = Record(model, "", job.place, job.wishes.flags)
    record = engine_record.write(job.output, built.plan, record)
    if built.timing_cache:
        cache.write_bytes(built.timing_cache)
    return {
        "built": True,
        "engine": asdict(record),
        "bytes": len(built.plan),
        "warnings": list(built.warnings),
        "on_gpu": list(built.on_gpu),
        "text": list(_lines(job, record, len(built.plan), built.on_gpu)),
    }


def _fitting(job: Job, model: str) -> Record | None:
    """The record of an engine that is there and is just what would be built."""
    try:
        found = engine_record.read(job.output)
    except BundleRefused:
        return None
    wanted = Record(model, found.plan, job.place, job.wishes.flags)
    return found if found == wanted else None


def _lines(job: Job, record: Record, size: int, on_gpu: Sequence[str]) -> Any:
    place, flags = record.place, record.flags
    yield f"{job.output / engine_record.PLAN}: {size / 1e6:.1f} MB"
    yield f"for {place.gpu or 'compute capability ' + ', '.join(place.compute_capabilities)}"
    typing = [name for name in ("fp16", "int8") if getattr(flags, name)]
    types = "those of the graph" if flags.strongly_typed else "fp32 " + " ".join(typing)
    yield f"by {place.module} {place.version}, types: {types.strip()}"
    if flags.dla_core is not None:
        yield f"{len(on_gpu)} layers stay on the GPU: {', '.join(on_gpu) or 'none'}"
    for name, shapes in flags.profile.items():
        yield f"{name}: {' to '.join('x'.join(map(str, shape)) for shape in shapes)}"
