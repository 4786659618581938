"""Writes docs/cli.md: every command with its options, the config file, and the exit statuses.

Run it after changing exporter/cli/ or an error: `python docs/make_cli.py`. A test holds the page
to them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from kexport import errors
from kexport.cli.command import options_by_heading
from kexport.cli.group import program

PAGE = Path(__file__).with_name("cli.md")

HEAD = """# Command line

`python docs/make_cli.py` writes this page from [exporter/cli/](../exporter/cli), and a test holds
it to the code.

```sh
kexport examples/digits/digits.keras --target cpu-fp32 --preprocess tf
kexport verify digits-cpu-fp32
kexport run digits-cpu-fp32 image.jpg --json
```

`kexport MODEL ...` is short for `kexport export MODEL ...`. Every command explains its options with
`--help`.

## stdout and stderr

The result goes to stdout, as a table. Progress, warnings and errors go to stderr. An error is one
line that says what happened, and mostly a hint that says what to do next:

<!-- not run: it fails -->
```console
$ kexport inceptoin_v3 --target cpu-fp32 --quiet
error: no Keras Application named 'inceptoin_v3'
hint: did you mean 'inception_v3'?
```

With `--json` stdout is one JSON object instead of a table:

| command | object |
|---|---|
| `export` | `manifest.json`, `path`, with int8 `quantization.speed`, `engine` if one was built |
| `verify` | `passed`, and each golden output with its error and tolerance |
| `run` | for each image the answer of its task ([tasks.md](tasks.md#many-images)), or its `error` |
| `check` | `passed` and `findings` |
| `models`, `targets`, `doctor` | the rows of the table |
| any, if it fails | `error`, `hint` and `exit_status` |

## Config file

`kexport export` reads `kexport.toml` in the current folder, if there is one, or the file that
`--config` names. `--no-config` ignores it. The table `[export]` takes the model as `model`, and
each option by its long name without dashes:

<!-- file: kexport.toml -->
```toml
[export]
model = "examples/digits/digits.keras"
target = "trt-fp16"
output = "digits"
preprocess = "tf"
labels = "examples/digits/labels.txt"
resize = "bilinear"
top-k = 3
force = true
```

```sh
kexport export
kexport --target cpu-fp32 --output digits-cpu
```

- Options on the command line take precedence over the file; `--output-layer` replaces the whole
  list.
- An option without a value, such as `force`, is `true` or `false`. What is `true` in the file
  cannot be turned off on the command line, except with `--no-config`.
- `from-logits` takes "yes" or "no", in quotes.
- `input-shape`, `output-range`, `compute-capabilities` and `palette` take a list, or the text of
  the command line: `[224, 224]` is `"224,224"`. `output-layer` takes a list of names, and so do
  options that may be for one input, such as `preprocess = ["tf", "depth=unit"]`.
- Relative paths are relative to the folder of the file. Without `output`, the bundle goes to the
  current folder.
- An unknown key, a value of the wrong type, and a value that the option does not take are refused
  with exit status 2. The message names the file and the key.
- `trust` and `json` are for the command line only: a config file may come with a model, and must
  not decide whether the model's code may run.
- The progress on stderr names the file.

## Commands

"""

STATUSES = """## Exit status

| status | error | |
|---|---|---|
| 0 | | done |
"""

END = """| 130 | | stopped with Ctrl-C; nothing was written, unless the message says what was |
"""


def page() -> str:
    """Return the page."""
    return "".join([HEAD, *_commands(), STATUSES, *_statuses(), END])


def _commands() -> Iterator[str]:
    root = click.Context(program, info_name="kexport", **program.context_settings)
    for name, command in program.commands.items():
        context = click.Context(command, info_name=name, parent=root)
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"### kexport {name}\n\n`kexport {name} {usage}`\n\n"
        yield f"{inspect.cleandoc(command.help or '')}\n\n"
        yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    sections = options_by_heading(command, context)
    for heading, options in sections.items():
        rows = [[heading if len(sections) > 1 else "option", "", "default"]]
        for option in options:
            record = option.get_help_record(context)
            if record is not None:
                default = option.get_help_extra(context).get("default", "")
                rows.append([f"`{_cell(record[0])}`", _cell(option.help or ""), _cell(default)])
        if not any(default for _, _, default in rows[1:]):
            rows = [row[:2] for row in rows]
        head, *others = rows
        yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n".replace("|  |", "| |")
        yield from (f"| {' | '.join(row)} |\n" for row in others)
        yield "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _statuses() -> Iterator[str]:
    """Return the rows of the tree in the docstring of `kexport.errors`, by exit status."""
    rows = re.findall(r"^(?:[├└]── )?(\w+) +(\d+)   ?(.+)$", errors.__doc__ or "", re.MULTILINE)
    for name, status, meaning in sorted(rows, key=lambda row: int(row[1])):
        if status != "1":
            yield f"| {status} | `{name}` | {meaning.replace('`force`', '`--force`')} |\n"
        elif name == errors.KexportError.__name__:
            yield f"| {status} | | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
