"""Stage 6: the bundle's own runtime on the golden inputs, beside the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kexport.bundle import local_engine, rtx_builder
from kexport.bundle.manifest import Manifest, write_manifest
from kexport.parity import compare, coverage
from kexport.parity.compare import Parity
from kexport.parity.reference import Reference
from kexport.progress import Progress
from kexport.stages.convert import Subject
from kexport.stages.finish import Finished
from kexport.targets import Target


@dataclass(frozen=True, slots=True)
class Proven:
    """A complete bundle, and what measuring it found."""

    manifest: Manifest
    parity: Parity
    engine: local_engine.VerifiedEngine | None
    """The engine, if the target's GPU and TensorRT are on this machine and parity passed."""


def prove(
    folder: Path,
    draft: Manifest,
    subject: Subject,
    finished: Finished,
    reference: Reference,
    target: Target,
    say: Progress,
) -> Proven:
    """Build what can be built here, measure parity, and write the final manifest.

    Raises:
        GraphRefused: an engine that is built ahead of time, or on this GPU, was not built.
        ParityFailed: the engine that was built on this GPU is too far from Keras.
    """
    name, checked = draft.model["name"], draft.engine_check
    if draft.build is not None and rtx_builder.is_installed():
        say("building with TensorRT-RTX")
        checked = rtx_builder.check_engine(folder, finished.artifact.model, target, name)
    say("comparing with Keras")
    parity = compare.measure(folder, reference)
    entry = parity.entry()
    if reference.samples.own:
        entry["own"] = reference.samples.ordinary
    if parity.passed:
        say("measuring what the samples reach")
        entry["coverage"] = coverage.of_samples(subject.artifact.model, reference.samples).entry()
    manifest = replace(draft, engine_check=checked, parity=entry)
    write_manifest(folder, manifest)
    engine = None
    if parity.passed and local_engine.device_is_here(target.platform):
        say("building the engine on this GPU, and verifying it")
        engine = local_engine.build_and_verify_engine(folder, name)
    return Proven(manifest, parity, engine)
