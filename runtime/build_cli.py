"""Command line of build_engine.py: build the engine of its bundle, and verify it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import engine_record
from .build_plan import (
    RTX,
    BuildOptions,
    Log,
    build_serialized_engine,
    check_opset,
    flags_for,
    workspace_for,
)
from .cli import PARITY_FAILED, print_fault
from .engine_record import EngineRecord, Environment, Flags
from .errors import BadInput, BundleRefused, EngineMissing, RuntimeFault
from .file_hashes import check_files
from .gpu import Cuda, Gpu
from .manifest import MODEL, Manifest, read_manifest
from .optimization_profile import parse_shapes, profile_of
from .terminal import printable
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODULES = ("tensorrt", RTX)
_MIB = 1 << 20
_INTERRUPTED = 130


@dataclass(frozen=True)
class BuildJob:
    """One build: the bundle, the output folder, TensorRT's module, the environment and options."""

    bundle: Path
    output: Path
    trt: Any
    environment: Environment
    options: BuildOptions


def main(bundle: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the command on a bundle and return the exit status.

    The result goes to standard output (lines, or with `--json` one object), faults to standard
    error. An existing engine that matches this machine, the model and the flags is kept.
    """
    args = _parser().parse_args(arguments)
    log = Log(verbose=args.log is not None)
    try:
        manifest = read_manifest(bundle)
        check_files(bundle, manifest)
        job = _job(bundle, manifest, args)
        report = _built(job, log, args)
        if args.verify:
            verification = verify(bundle, engine="tensorrt")
            report["verification"] = verification.as_dict()
            report["text"] += ["", *str(verification).split("\n")]
            status = 0 if verification.passed else PARITY_FAILED
        else:
            status = 0
    except RuntimeFault as fault:
        print_fault(fault)
        return fault.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if args.log is not None:
            args.log.write_text("\n".join(log.details), encoding="utf-8")
    text = "\n".join(map(printable, report.pop("text")))
    sys.stdout.write((json.dumps(report, indent=2) if args.json else text) + "\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build_engine.py",
        description="Build engine.plan from model.onnx, on the device that will run it.",
    )
    add = parser.add_argument
    add("--verify", action="store_true", help="then run the golden samples on the engine")
    add("--force", action="store_true", help="build even if the existing engine fits")
    add(
        "--workspace", type=int, metavar="MIB", help="scratch memory (default: by the GPU's memory)"
    )
    add("--builder-optimization-level", type=int, metavar="N", help="0 to 5 (default: TensorRT's)")
    add("--version-compatible", action="store_true", help="also run on later TensorRT releases")
    add("--hardware-compatibility-level", choices=engine_record.HARDWARE, default="none")
    add("--use-dla-core", type=int, metavar="N", help="a deep-learning accelerator of a Jetson")
    for name in ("min", "opt", "max"):
        add(f"--{name}-shapes", type=_shapes, default={}, metavar="NAME:1x224x224x3")
    add("--timing-cache-file", type=Path, metavar="FILE", help="(default: timing.cache)")
    add("--module", choices=MODULES, help="which TensorRT (default: the bundle's)")
    add("--compute-capabilities", metavar="8.6,8.9", help="GPUs that TensorRT-RTX builds for")
    add("--output", type=Path, metavar="DIR", help="folder for the engine (default: the bundle)")
    add("--log", type=Path, metavar="FILE", help="write the builder's full log to a file")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def _shapes(text: str) -> dict[str, list[int]]:
    try:
        return parse_shapes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _job(bundle: Path, manifest: Manifest, args: argparse.Namespace) -> BuildJob:
    entry = manifest.data.get("build")
    if entry is None:
        raise BundleRefused(
            f"{bundle} was exported for {manifest.target}, which has no engine to build",
            hint="export for trt, rtx or a Jetson",
        )
    module = args.module or entry["builder"]
    trt = _imported(module)
    check_opset(trt, manifest.data["target"]["opset"])
    capabilities = _capabilities(module, entry, args)
    gpu = None if module == RTX else Cuda().gpu
    if args.verify and args.output not in (None, bundle):
        raise BadInput("--verify runs the engine in the bundle", hint="leave out --output")
    shapes = (args.min_shapes, args.opt_shapes, args.max_shapes)
    flags = Flags(
        workspace=_workspace(args, gpu),
        optimization_level=args.builder_optimization_level,
        version_compatible=args.version_compatible,
        hardware_compatibility=args.hardware_compatibility_level,
        dla_core=args.use_dla_core,
        profile=profile_of(manifest.inputs, shapes),
    )
    flags = flags_for(trt, manifest.data["target"]["precision"], flags)
    environment = (
        Environment(module, trt.__version__, engine_record.platform_here(), None, capabilities)
        if gpu is None
        else engine_record.environment_here(module, trt.__version__, gpu)
    )
    options = BuildOptions(flags, frozenset(entry["float32_layers"]), capabilities)
    return BuildJob(bundle, args.output or bundle, trt, environment, options)


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        jetson = " (on a Jetson, JetPack includes it)" if module == "tensorrt" else ""
        raise EngineMissing(
            f"{module} is needed to build an engine: {error}",
            hint=f"run: pip install {module.replace('_', '-')}{jetson}",
        ) from error


def _capabilities(module: str, entry: dict[str, Any], args: argparse.Namespace) -> tuple[str, ...]:
    requested = args.compute_capabilities
    if module != RTX:
        if requested is not None:
            raise BadInput(
                "TensorRT builds for the GPU that it runs on",
                hint="leave out --compute-capabilities",
            )
        return ()
    if requested is not None:
        return tuple(requested.split(","))
    return tuple(entry["compute_capabilities"])


def _workspace(args: argparse.Namespace, gpu: Gpu | None) -> int | None:
    if args.workspace is not None:
        return int(args.workspace) * _MIB
    return None if gpu is None else workspace_for(gpu.memory, gpu.integrated)


def _built(job: BuildJob, log: Log, args: argparse.Namespace) -> dict[str, Any]:
    """Build the engine, unless the existing one fits, and return the report."""
    model = engine_record.hash_of_model(job.bundle)
    existing = None if args.force else _fitting(job, model)
    if existing is not None:
        text = [f"{job.output / engine_record.PLAN} exists and fits; build again with --force"]
        return {"built": False, "engine": existing.as_dict(), "text": text}
    cache = args.timing_cache_file or job.output / engine_record.TIMING_CACHE
    known = cache.read_bytes() if cache.exists() else b""
    built = build_serialized_engine(job.trt, job.bundle / MODEL, job.options, log, known)
    job.output.mkdir(parents=True, exist_ok=True)
    record = EngineRecord(model, "", job.environment, job.options.flags)
    record = engine_record.write_engine(job.output, built.plan, record)
    if built.timing_cache:
        cache.write_bytes(built.timing_cache)
    return {
        "built": True,
        "engine": record.as_dict(),
        "bytes": len(built.plan),
        "warnings": list(built.warnings),
        "on_gpu": list(built.on_gpu),
        "text": list(_lines(job, record, len(built.plan), built.on_gpu)),
    }


def _fitting(job: BuildJob, model: str) -> EngineRecord | None:
    """Return the record of the existing engine, if a build would produce the same."""
    try:
        found = engine_record.read_record(job.output)
    except BundleRefused:
        return None
    wanted = EngineRecord(model, found.plan, job.environment, job.options.flags)
    return found if found == wanted else None


def _lines(job: BuildJob, record: EngineRecord, size: int, on_gpu: Sequence[str]) -> Iterator[str]:
    built, flags = record.environment, record.flags
    yield f"{job.output / engine_record.PLAN}: {size / 1e6:.1f} MB"
    yield f"for {built.gpu or 'compute capability ' + ', '.join(built.compute_capabilities)}"
    typing = [name for name in ("fp16", "int8") if getattr(flags, name)]
    types = "those of the graph" if flags.strongly_typed else "fp32 " + " ".join(typing)
    yield f"by {built.module} {built.version}, types: {types.strip()}"
    if flags.dla_core is not None:
        yield f"{len(on_gpu)} layers fall back to the GPU: {', '.join(on_gpu) or 'none'}"
    for name, shapes in flags.profile.items():
        yield f"{name}: {' to '.join('x'.join(map(str, shape)) for shape in shapes)}"
