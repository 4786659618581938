"""Hold `kexport check` against NVIDIA's parser and builder, on ONNX's own models of one operator.

    python bench/lint_onnx.py [NAME ...]       print the models that are judged otherwise
    python bench/lint_onnx.py --write          write docs/check.md

A name is a part of the model's, such as `resize`. Parser and builder are those of TensorRT for RTX
(the extra `rtx`), which need no GPU; so the target is `rtx`. All 2,000 models take ten minutes.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from lint_parser import Parser

from kexport import lint, targets
from kexport.errors import KexportError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "check.md"
TARGET = "rtx"
NOT_JUDGED = ("opset-cap",)
"""Rules of what is documented: the parser does not check it."""
FOLDERS = ("pytorch-converted", "pytorch-operator", "simple")
"""Those of onnx.backend.test.data whose models are small."""

HEAD = """# What `kexport check` is held against

`python bench/lint_onnx.py --write` writes this page, on two cores in ten minutes.

ONNX has a model for each case of each operator, with which its backends are tested. `kexport check
--target rtx` judges each, and so do the parser and the builder of TensorRT for RTX {version}, which
need no GPU. It reads what the parser of TensorRT 11 does; for older releases, the rules follow the
source of their parsers. A rule that the opset is newer than documented is left out, as no parser
checks it. A model that is only found *silent* cannot be judged by a parser: it builds, and computes
something else.

"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model: the rules that it breaks, and what the parser and the builder say."""

    name: str
    errors: tuple[str, ...]
    """Each rule of severity error, with what it found."""
    silent: tuple[str, ...]
    refusal: str
    """What stops the parser or the builder; "" where there is an engine, or inputs are open."""

    @property
    def kind(self) -> str:
        """Return both clean, both refused, missed, false alarm or silent."""
        if self.silent and not self.errors:
            return "silent"
        if bool(self.errors) == bool(self.refusal):
            return "both refused" if self.refusal else "both clean"
        return "missed" if self.refusal else "false alarm"

    def __str__(self) -> str:
        """Return it in a line."""
        return f"{self.kind}: {self.name}: {self.refusal or '; '.join(self.errors)}"


def main(arguments: Sequence[str]) -> None:
    """Judge all models, or those whose names have one of the words."""
    warnings.simplefilter("ignore")
    words = [word for word in arguments if not word.startswith("--")]
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, Parser() as parser:
        for path in sorted(written(Path(folder), words)):
            outcomes.append(judged(path, parser))
            if outcomes[-1].kind in ("missed", "false alarm"):
                print(outcomes[-1], flush=True)
    print(Counter(outcome.kind for outcome in outcomes))
    if "--write" in arguments:
        PAGE.write_text(page(outcomes), encoding="utf-8")


def written(folder: Path, words: Sequence[str]) -> Iterator[Path]:
    """Write the models into a folder, and yield their paths."""
    from onnx.backend.test.case.node import collect_testcases  # imports every case

    models = {case.name: case.model for case in collect_testcases(None) if case.model is not None}
    data = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for name in FOLDERS:
        for path in (data / name).rglob("model.onnx"):
            models[f"{name}/{path.parent.name}"] = onnx.load(path)
    for name, model in models.items():
        if not words or any(word in name for word in words):
            path = folder / f"{name.replace('/', '.')}.onnx"
            onnx.save(model, path)
            yield path


def judged(path: Path, parser: Parser) -> Outcome:
    """Return what both say of a model; one that `check` cannot open counts as an error."""
    platform = targets.place(TARGET)
    try:
        found = lint.find(lint.open_onnx(path), platform)
    except KexportError as error:
        return Outcome(path.stem, (f"unreadable: {error}",), (), parser.refusal(path))
    said = {
        severity: tuple(
            f"{one.rule}: {one.what}"
            for one in found
            if one.severity == severity and one.rule not in NOT_JUDGED
        )
        for severity in ("error", "silent")
    }
    return Outcome(path.stem, said["error"], said["silent"], parser.refusal(path))


def page(outcomes: Sequence[Outcome]) -> str:
    """Return the page: the counts, and each model that is judged otherwise."""
    import tensorrt_rtx

    counts = Counter(outcome.kind for outcome in outcomes)
    alike = counts["both clean"] + counts["both refused"]
    rows = [
        ("both take it", counts["both clean"]),
        ("both refuse it", counts["both refused"]),
        ("only the parser or the builder refuses it", counts["missed"]),
        ("only `kexport check` refuses it", counts["false alarm"]),
        ("`kexport check` says that the result is wrong", counts["silent"]),
    ]
    table = "".join(f"| {name} | {count} |\n" for name, count in rows)
    others = [one for one in outcomes if one.kind in ("missed", "false alarm")]
    listed = "".join(
        f"| {one.name} | {one.kind} | {_cell(one.refusal or '; '.join(one.errors))} |\n"
        for one in others
    )
    return (
        f"{HEAD.format(version=tensorrt_rtx.__version__)}"
        f"| of {len(outcomes)} models | |\n|---|---|\n{table}\n"
        f"They agree on {alike}. These they judge otherwise:\n\n"
        f"| model | | why |\n|---|---|---|\n{listed}"
    )


def _cell(text: str) -> str:
    """Return the first words of a message, without what a table cannot hold."""
    plain = " ".join(text.split()).replace("|", "/")
    return plain if len(plain) <= 160 else f"{plain[:157]}..."


if __name__ == "__main__":
    main(sys.argv[1:])
