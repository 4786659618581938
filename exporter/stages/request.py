"""What a user asked for, checked as far as that can be done before Keras is loaded."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexport.bundle import triton
from kexport.bundle.output_folder import refuse_existing
from kexport.errors import BadArgument
from kexport.measures import tasks
from kexport.measures.examples import Examples
from kexport.measures.tasks import CLASSIFY
from kexport.needs import need
from kexport.options.application import Recipe
from kexport.options.batch import Batch
from kexport.options.by_input import choices
from kexport.options.calibration import Calibration
from kexport.options.calibration import check as check_calibration
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import AUTO
from kexport.options.sampling import Sampling
from kexport.options.task import Task, TaskName
from kexport.source import arguments, model_name
from kexport.source import labels as label_files
from kexport.source.labels import Labels, class_folders
from kexport.targets import Target
from kexport.zoo import Application

_MACHINES = {"cpu": ("x86_64", "AMD64", "aarch64", "arm64"), "arm64": ("aarch64", "arm64")}
"""The values of `platform.machine()` on which a target's CPU is like this machine's."""


def runs_here(device: str) -> bool:
    """Return whether a device's CPU is like this machine's, so that its speed can be measured."""
    return platform.machine() in _MACHINES.get(device, ())


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `kexport.export`, with the target resolved and the labels read."""

    target: Target
    recipe: Recipe
    image_input: ImageInput | Mapping[str, ImageInput]
    task: Task
    calibration: Calibration
    sampling: Sampling
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
    examples: Examples | None
    """The labelled data, if the task was told and is another than classify."""

    @property
    def fixed_batch(self) -> int | None:
        """The batch size; None if the batch axis stays open."""
        return None if self.batch == "dynamic" else self.batch

    @property
    def is_local(self) -> bool:
        """Whether the target's CPU is like this machine's, so that its speed can be measured."""
        return runs_here(self.target.device)

    def check(self, model: str | Path | None) -> None:
        """Refuse what cannot work, before Keras is loaded or anything heavy is done.

        Args:
            model: the name or path of the model; None for a Keras model, which has neither.

        Raises:
            BadArgument: arguments that do not suit each other, the target or the model.
            UnknownModel, UnreadableModel, WeightsUnavailable: there is no such model or weights.
            OutputExists, OutputFailed: nothing can be written to the bundle's folder.
            MissingDependency: the target's builder is not installed.
        """
        if self.layout_triton is not None:
            triton.require_servable(self.target)
            triton.require_repository(self.layout_triton)
        if self.target.engine == "tensorrt_rtx":
            need("tensorrt_rtx", extra="rtx")
        check_calibration(self.calibration, self.target, local=self.is_local)
        self.sampling.check()
        if self.sampling.samples is not None and self.calibration.ship_images:
            raise BadArgument(
                "`sampling.samples` and `calibration.ship_images` both say what is in golden.npz",
                hint="leave out one of them",
            )
        if AUTO in choices(self.recipe.preprocessing()) and self.calibration.eval_data is None:
            raise BadArgument(
                f"`recipe.preprocess={AUTO!r}` needs labelled images to try the modes on",
                hint="add `calibration.eval_data`: a folder with one subfolder for each class",
            )
        if model is not None:
            self.folder(self._check_model(model))
        elif self.output is not None:
            refuse_existing(self.output, force=self.force)

    def _check_model(self, model: str | Path) -> str:
        """Check a model and its arguments as far as they are known by its name; return the name."""
        found = model_name.find(model)
        if isinstance(found, Application):
            arguments.check(found, self.recipe, "channels_last")  # Keras' own is not known yet
            arguments.weights_file(self.recipe)
        else:
            model_name.refuse_no_file(found)
            arguments.check_own(self.recipe, found.name)
        return model_name.name_of(found)

    def folder(self, name: str) -> Path:
        """Return the bundle's folder for a model of that name.

        The folder, and the Triton model's, are refused if they are taken.

        Raises:
            OutputExists, OutputFailed, BadArgument: as `check`.
        """
        folder = self.output or Path(f"{name}-{self.target.name}")
        refuse_existing(folder, force=self.force)
        if self.layout_triton is not None:
            triton.refuse_model(self.layout_triton, name, folder)
        return folder


def prepare(
    model: Any,
    target: Target,
    *,
    output: str | Path | None = None,
    recipe: Recipe | None = None,
    image_input: ImageInput | Mapping[str, ImageInput] | None = None,
    task: TaskName | Task | None = None,
    calibration: Calibration | None = None,
    sampling: Sampling | None = None,
    batch: Batch = 1,
    labels: Labels | None = None,
    output_layers: Sequence[str] = (),
    top_k: int | None = None,
    layout_triton: str | Path | None = None,
    force: bool = False,
    timestamps: bool = False,
) -> Request:
    """Make a request of the arguments of `kexport.export`, and check it; this loads no Keras.

    Raises:
        KexportError: as `Request.check`, or the labels cannot be read.
    """
    told = task if isinstance(task, Task) else Task(task)
    data = calibration or Calibration()
    request = Request(
        target=target,
        recipe=recipe or Recipe(),
        image_input=ImageInput() if image_input is None else image_input,
        task=told,
        calibration=data,
        sampling=sampling or Sampling(),
        batch=batch,
        labels=labels,
        class_names=None if labels is None else label_files.read(labels),
        output_layers=tuple(output_layers),
        top_k=top_k,
        output=None if output is None else Path(output),
        layout_triton=None if layout_triton is None else Path(layout_triton),
        force=force,
        timestamps=timestamps,
        examples=_labelled(told.name, data.eval_data),
    )
    request.check(model if isinstance(model, (str, Path)) else None)
    return request


def _labelled(task: TaskName | None, data: str | Path | None) -> Examples | None:
    """Check the labelled data of an export; read them if the task was told and is not classify.

    Raises:
        BadArgument: they are missing, or not of the form that the task has; or it has no measure.
    """
    if data is None:
        return None
    if task is None or task == CLASSIFY:
        try:
            class_folders(Path(data))
        except BadArgument as error:
            if task == CLASSIFY:
                raise
            hint = "give a subfolder for each class, or say with `task.name` what the model is for"
            raise BadArgument(str(error), hint=hint) from error
        return None
    return tasks.read(task, Path(data))
