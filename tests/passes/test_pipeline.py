"""The list of passes: the phases of each format, and the docstring of every pass."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexport import passes, targets
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.graph.passes import Pass
from kexport.options.input_image import InputImage
from kexport.passes.pipeline import GraphFormat, PassArguments, Phase, passes_for, phases_for

EVERY = PassArguments(
    images=(InputImage("tf"),), top_k=("scores", 1), float32_nodes=frozenset({"a"})
)
FOLDER = Path(passes.__file__).parent


def all_phases(given: PassArguments = EVERY) -> Iterator[Phase]:
    for name in targets.names():
        target = targets.find(name)
        yield from phases_for(GraphFormat.of(target), given)


ALL = {change.name: change for phase in all_phases() for change in phase.passes}


def test_the_passes_of_a_phase_are_those_of_the_list() -> None:
    form = GraphFormat(18, "int8")
    (wanted,) = [phase for phase in phases_for(form) if phase.name == "finish int8"]
    assert passes_for(form, "finish int8") == wanted.passes


def test_a_phase_of_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="a graph in fp32 has no phase 'finish int8'"):
        passes_for(GraphFormat(), "finish int8")


def test_phases_of_one_format_have_different_names() -> None:
    for name in targets.names():
        target = targets.find(name)
        names = [phase.name for phase in phases_for(GraphFormat.of(target))]
        assert len(set(names)) == len(names)


def test_arguments_add_image_input_and_best_classes() -> None:
    plain = {change.name for phase in all_phases(PassArguments()) for change in phase.passes}
    assert set(ALL) - plain == {"image_input", "add_top_k"}


def test_the_scheme_of_onnx_runtime_asks_the_pipeline() -> None:
    assert ONNXRUNTIME_CPU.finish == passes_for(GraphFormat(20, "int8"), "quantize")
    assert [change.name for change in ONNXRUNTIME_CPU.finish] == [
        "integer_relu_pad_max",
        "quantize_bias",
        "dequantize_for_float_layers",
    ]


def test_every_pass_in_the_folder_is_in_the_list() -> None:
    """A file holds the passes of its name, except cleanup.py, which holds two."""
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "pipeline"}
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    by_name = {"deduplicate_initializers", "remove_unused"}
    assert set(ALL) - by_name == (files | folders) - {"cleanup"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_docstring_has_pattern_condition_and_exactness(name: str) -> None:
    text = inspect.cleandoc(ALL[name].__doc__ or "").partition("\nRaises:")[0]
    assert "==>" in text
    assert "Applies " in text
    assert "xact" in text.rpartition("Applies ")[2]


def test_a_pass_knows_its_name_and_purpose() -> None:
    @Pass
    def change(model: object) -> None:
        """Do one thing.

        And more.
        """

    assert (change.name, change.purpose) == ("change", "Do one thing.")
