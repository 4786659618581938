"""The C++ runtime: what Model::run adds to ONNX Runtime's bare call, start-up, and size.

    python bench/cpp.py [--rounds 10] [--seconds 2] [--cache build/bench] [--out docs/bench.md]

Builds the programs of a bundle's cpp/ folder as its user does, and bench/cpp/overhead.cpp; needs
what docs/cpp.md lists.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import machine, versions
from page import joined, number, put_section, table
from process import answer, environment, measure
from rounds import Times, interleave

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("digits", "mobilenet_v2")
PROGRAMS = ("kexport-verify", "kexport-classify", "kexport-bench")
MOST_OVER = 1.01
LARGEST = 300_000


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians of each round, in microseconds: of Model::run, and of the bare call."""

    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        return sorted(mine / other for mine, other in zip(self.ours, self.bare, strict=True))


def make_once(name: str, folder: Path) -> dict[str, str]:
    """Export one model in this process, with an image of its size beside the bundle."""
    from PIL import Image

    import kexport
    from kexport.source.synthetic_images import draw_images

    digits = ROOT / "examples" / "digits"
    if name == "digits":
        recipe, labels = kexport.Recipe(preprocess="tf"), digits / "labels.txt"
        model: str | Path = digits / "digits.keras"
    else:
        recipe, labels, model = kexport.Recipe(weights="random"), None, name
    path = folder / f"{name}-cpu-fp32"
    bundle = kexport.export(
        model, "cpu-fp32", output=path, recipe=recipe, labels=labels, force=True
    )
    height, width = bundle.manifest["inputs"][0]["shape"][1:3]
    image = folder / f"{name}.ppm"
    Image.fromarray(draw_images(1, height, width)[0]).save(image)
    return {"bundle": str(bundle.path), "picture": str(image)}


def built(bundle: Path, folder: Path) -> Path:
    """Build the programs, and return their folder."""
    settings = {
        "BUNDLE": bundle.resolve(),
        "CMAKE_BUILD_TYPE": "MinSizeRel",
    }
    words = [f"-D{name}={value}" for name, value in settings.items()]
    source = ROOT / "bench" / "cpp"
    subprocess.run(["cmake", "-S", source, "-B", folder, *words], check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", folder], check=True, stdout=sys.stderr)
    return folder


def library() -> Path:
    """Return the path of ONNX Runtime's library in this Python's package."""
    import onnxruntime

    (found,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*")
    return found


def overhead(programs: Path, bundle: Path, rounds: int, seconds: float) -> Overhead:
    command = [programs / "overhead", bundle, library(), str(rounds), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    pairs = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return Overhead(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def start_up(programs: Path, bundle: Path, image: Path, rounds: int) -> dict[str, Times]:
    """Time two kinds of process in turns: classify one image, and verify the bundle."""
    run = bundle / "run.py"
    commands = {
        "classify": [programs / "kexport" / "kexport-classify", bundle, image],
        "run.py": [sys.executable, run, image],
        "verify": [programs / "kexport" / "kexport-verify", bundle],
        "run.py --verify": [sys.executable, run, "--verify"],
    }
    there = {**environment(False), "KEXPORT_ONNXRUNTIME": str(library())}

    def call(command: Sequence[str | Path]) -> None:
        subprocess.run(command, check=True, capture_output=True, env=there)

    contestants = {name: lambda words=words: call(words) for name, words in commands.items()}
    return interleave(contestants, rounds=rounds, seconds=0.0)


def stripped(program: Path) -> int:
    """Return the size of a stripped program, in bytes."""
    thin = program.with_name(f"{program.name}.stripped")
    subprocess.run(["strip", "-o", thin, program], check=True)
    return thin.stat().st_size


def overhead_row(name: str, found: Overhead) -> list[str]:
    ratios = found.ratios
    ratio = statistics.median(ratios)
    return [
        name,
        *(number(statistics.median(times), 1) for times in (found.ours, found.bare)),
        number(ratio, 4),
        f"{ratios[0]:.4f} to {ratios[-1]:.4f}",
        verdict(ratio <= MOST_OVER, f"at most {MOST_OVER}"),
    ]


def start_rows(name: str, times: dict[str, Times]) -> list[list[str]]:
    rows = []
    for ours, theirs in (("classify", "run.py"), ("verify", "run.py --verify")):
        ratio = times[ours].over(times[theirs])
        milliseconds = (number(times[each].median * 1e3, 0) for each in (ours, theirs))
        said = [name, f"kexport-{ours}", theirs, *milliseconds, number(ratio, 2)]
        rows.append([*said, verdict(ratio <= 1, "at most 1")])
    return rows


def size_row(program: str, size: int) -> list[str]:
    return [program, number(size / 1e3, 1), verdict(size < LARGEST, f"under {LARGEST // 1000} kB")]


def verdict(met: bool, goal: str) -> str:
    return f"{'met' if met else 'missed'}: {goal}"


def page(
    runs: Sequence[Sequence[str]], starts: Sequence[Sequence[str]], sizes: Sequence[Sequence[str]]
) -> str:
    return joined(
        [
            "## C++",
            "`Model::run` compared with the bare `OrtApi::Run`: in one process, on one thread, "
            "batch 1, with the same session options and memory, call by call in turns. Each round "
            "opens both sessions twice, once in each order, because the order alone can make one "
            "of them 2 % faster. Times are medians of the rounds in microseconds. *ratio* is the "
            "median of the rounds' ratios, and *rounds* gives the smallest and the largest of "
            "them.",
            f"{machine()}. {versions(('onnxruntime', 'numpy', 'pillow'))}.",
            table(["model", "Model::run us", "bare us", "ratio", "rounds", "goal"], runs),
            "Start-up: the time of a whole process, from the command to its end, in turns. Both "
            "programs check the SHA-256 of every file first, and then classify a PPM image or run "
            "the golden images.",
            table(["model", "C++", "Python", "C++ ms", "Python ms", "ratio", "goal"], starts),
            "The size of the programs as cmake builds them (MinSizeRel), stripped.",
            table(["program", "kB", "goal"], sizes),
        ]
    )


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a round lasts")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, help="the page to write the tables to")
    parser.add_argument("--once", metavar="MODEL", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    asked = parser().parse_args()
    folder = asked.cache.resolve() / "cpp"
    if asked.once:
        answer(make_once(asked.once, folder))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    runs: list[list[str]] = []
    starts: list[list[str]] = []
    programs = None
    for name in MODELS:
        made = measure(__file__, ["--once", name, "--cache", str(asked.cache)])
        if "error" in made:
            print(f"{name}: {made['error']}", file=sys.stderr)
            return 1
        bundle, image = Path(made["bundle"]), Path(made["picture"])
        programs = programs or built(bundle, folder / "build")
        runs.append(overhead_row(name, overhead(programs, bundle, asked.rounds, asked.seconds)))
        starts += start_rows(name, start_up(programs, bundle, image, asked.rounds))
        print(*runs[-1], sep="\t", flush=True)
    sizes = [size_row(name, stripped(folder / "build" / "kexport" / name)) for name in PROGRAMS]
    for cells in (*starts, *sizes):
        print(*cells, sep="\t", flush=True)
    if asked.out:
        put_section(asked.out, "cpp", page(runs, starts, sizes), "Benchmarks")
    return int(any("missed" in cells[-1] for cells in (*runs, *starts, *sizes)))


if __name__ == "__main__":
    sys.exit(main())
