"""What a user asked for, checked as far as that can be done before a model is built."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from kexport.bundle import triton
from kexport.bundle.output_folder import refuse_existing
from kexport.errors import BadArgument
from kexport.needs import need
from kexport.options.application import Recipe
from kexport.options.calibration import Calibration
from kexport.options.calibration import check as check_calibration
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import AUTO
from kexport.options.task import Task
from kexport.source.labels import Labels
from kexport.source.open import Source
from kexport.stages.optimize import Batch
from kexport.targets import Target

_MACHINES = {"cpu": ("x86_64", "AMD64", "aarch64", "arm64"), "arm64": ("aarch64", "arm64")}
"""The values of `platform.machine()` on which a target's CPU is like this machine's."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `kexport.export`, with the target resolved and the labels read."""

    target: Target
    recipe: Recipe
    image_input: ImageInput
    task: Task
    calibration: Calibration
    batch: Batch
    labels: Labels | None
    class_names: tuple[str, ...] | None
    """The labels that `labels` names."""
    output_layers: tuple[str, ...]
    top_k: int | None
    output: Path | None
    layout_triton: Path | None
    force: bool
    timestamps: bool

    @property
    def fixed_batch(self) -> int | None:
        """The batch size; None if the batch axis stays open."""
        return None if self.batch == "dynamic" else self.batch

    @property
    def is_local(self) -> bool:
        """Whether the target's CPU is like this machine's, so that its speed can be measured."""
        return platform.machine() in _MACHINES.get(self.target.device, ())

    def check(self) -> None:
        """Refuse what cannot work, before anything heavy is done.

        Raises:
            BadArgument: arguments that do not suit each other or the target.
            OutputExists, OutputFailed: nothing can be written to `output`.
            MissingDependency: the target's builder is not installed.
        """
        if self.layout_triton is not None:
            triton.require_servable(self.target)
            triton.require_repository(self.layout_triton)
        if self.target.engine == "tensorrt_rtx":
            need("tensorrt_rtx", extra="rtx")
        check_calibration(self.calibration, self.target, local=self.is_local)
        if self.recipe.preprocessing() == AUTO and self.calibration.eval_data is None:
            raise BadArgument(
                f"`recipe.preprocess={AUTO!r}` needs labelled images to try the modes on",
                hint="add `calibration.eval_data`: a folder with one subfolder for each class",
            )
        if self.output is not None:
            refuse_existing(self.output, force=self.force)

    def folder(self, source: Source) -> Path:
        """Return the bundle's folder; refuse it, and the Triton model's, if it is taken.

        Raises:
            OutputExists, OutputFailed: as `check`.
        """
        folder = self.output or Path(f"{source.name}-{self.target.name}")
        refuse_existing(folder, force=self.force)
        if self.layout_triton is not None:
            triton.refuse_model(self.layout_triton, source.name, folder)
        return folder
