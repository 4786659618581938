"""Errors that users can meet, and the exit status of each on the command line.

KexportError              1   any other failure
├── BadArgument           2   an argument that does not suit the model, or wrong usage
├── UnknownModel          3   no Keras Application of that name, and no such file
├── UnknownTarget         4   no such device, or not in that precision
├── UnreadableModel       5   the model file is missing, truncated or not Keras'
├── UntrustedModel        6   reading the file would run code that it carries
├── UnsupportedModel      7   a layer, an argument or a shape that cannot be exported
├── WeightsUnavailable    8   weights that cannot be downloaded, or do not fit
├── OutputExists          9   the output folder is there already, or is not replaced by `force`
├── OutputFailed         10   the output cannot be written
├── PassFailed           11   a pass over the graph broke it
├── ParityFailed         12   the exported model does not compute what Keras computes
├── MissingDependency    13   a package that this step needs is not installed
├── GraphRefused         18   a graph that breaks a rule of the device's toolchain
└── QuantizationRefused  19   int8 that costs more accuracy, or brings less speed, than asked for

RuntimeFault              1   raised by kexport.runtime, which stands alone on a device
├── BundleRefused        14   a bundle that is incomplete, altered or of another schema
├── BadImage             15   an image that cannot be read
├── BadInput             16   an array of the wrong name, shape or type
└── EngineMissing        17   the engine that the bundle needs is not installed

Ctrl-C ends with 130, as StoppedLate where something was published before.
"""

import difflib
import re
import textwrap
from collections.abc import Iterable


class KexportError(Exception):
    """Base of all errors of kexport outside its runtime.

    The message says what happened, and to what. `hint` says what to do next; the command line
    prints it below the message. `details` are lines below both, such as a table. `exit_code` is the
    exit status of the command line.

    All name an argument of `kexport.export` between backticks, as `calibration.max_drop` or, with
    a value, as `recipe.weights='random'`. The command line prints its option in its place: see
    `kexport.cli.arguments`.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str | None = None, details: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.hint, self.details = hint, tuple(details)
        for line in self.details:
            self.add_note(line)  # Python prints notes below the message


class BadArgument(KexportError):
    """An argument that is valid in itself does not suit this model."""

    exit_code = 2


class UnknownModel(KexportError):
    """No Keras Application has that name, and no file either."""

    exit_code = 3


class UnknownTarget(KexportError):
    """No target has that name."""

    exit_code = 4


class UnreadableModel(KexportError):
    """A model file is missing, truncated, or was not written by Keras."""

    exit_code = 5


class UntrustedModel(KexportError):
    """Reading a model file would run code: a Lambda layer, or a class that Keras does not know."""

    exit_code = 6


class UnsupportedModel(KexportError):
    """A layer has no ONNX form, or the architecture cannot take the requested shape."""

    exit_code = 7


class WeightsUnavailable(KexportError):
    """Weights cannot be fetched, or belong to another model."""

    exit_code = 8


class OutputExists(KexportError):
    """The output folder is there already, and is no bundle or nobody said to replace it."""

    exit_code = 9


class OutputFailed(KexportError):
    """The output cannot be written: no space, no permission."""

    exit_code = 10


class PassFailed(KexportError):
    """A pass raised, or left a graph that ONNX's checker refuses."""

    exit_code = 11


class ParityFailed(KexportError):
    """The exported model's outputs differ from Keras' by more than the tolerance."""

    exit_code = 12


class MissingDependency(KexportError):
    """A package that this step needs is not installed, or does not load."""

    exit_code = 13


class GraphRefused(KexportError):
    """A graph that the device's toolchain would refuse, or read as something else."""

    exit_code = 18


class QuantizationRefused(KexportError):
    """INT8 that loses more accuracy, or brings less speed, than `Calibration` allows."""

    exit_code = 19


class ExportWarning(UserWarning):
    """An export that works, and that is probably not what the user wants."""


class StoppedLate(KeyboardInterrupt):
    """Ctrl-C when something was published already; the message says what."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return a hint with the candidate nearest to `word`, or None if none is near.

    Case is ignored:

    >>> did_you_mean("Inception_v4", ["inception_v3", "vgg16"])
    "did you mean 'inception_v3'?"
    """
    folded = {candidate.casefold(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f"did you mean '{folded[near[0]]}'?" if near else None


def one_line(error: BaseException) -> str:
    """Return the reason of a library's error in one line of at most 300 characters.

    Keras wraps errors: the innermost reason comes last, after "Exception encountered:", or in the
    paragraph after "Exception encountered when calling". A first line that ends in a colon is
    joined to the line after it.
    """
    text = _DECORATION.sub("", str(error)).rpartition("Exception encountered:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    while len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    if not lines:
        return type(error).__name__
    announces = lines[0].endswith(":")
    return textwrap.shorten(" ".join(lines[: 2 if announces else 1]), 300)


_DECORATION = re.compile(r"\x1b\[[0-9;]*m|\{\{.*?\}\} ")
"""Colours, and TensorFlow's own names of its functions."""
