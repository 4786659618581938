"""Tables about int8: accuracy, speed, and the effect of each step."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kexport.cli.tables.table import headed, milliseconds, pairs
from kexport.measures.names import ALLOWED, title_of, written

if TYPE_CHECKING:
    from kexport.calibration.accuracy.latency import Speed

_WORST = 5
"""Number of layers shown."""

_NAMED = 4
"""Number of float nodes named for one reason; manifest.json has all."""

_OUTCOMES = {
    "passed": "within {:.1%}",
    "undecided": "undecided, since {:.1%} is between its ends",
    "refused": "beyond {:.1%}",
}


def quantization_table(entry: Mapping[str, Any], speed: "Speed | None") -> Table:
    """Summarize the request, the share of int8, and the speed on this machine."""
    gate = entry["gate"]
    rows = [
        ("int8", f"{entry['multiply_adds_int8']:.1%} of the multiply-adds"),
        ("", f"ranges by {entry['method']}, on {entry['images']} images"),
        ("gate", ALLOWED[gate["measure"]].format(gate["max_drop"])),
        ("", f"judged on {entry['judged_on']} other images"),
        *_verdict_rows(gate),
    ]
    rows += [("skipped", name) for name in entry["skipped"]]
    if speed is not None:
        rows.append(
            (
                "speed",
                f"{milliseconds(speed.int8_ms)}, and {milliseconds(speed.float_ms)} in fp32: "
                f"{speed.factor:.2f} times as fast, on one thread of this machine",
            )
        )
    return pairs([*rows, *_float_rows(entry["float_nodes"])])


def _verdict_rows(gate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is known about the drop, and what it would take to know more."""
    if gate["outcome"] is None:
        return
    low, high = gate["interval"]
    known = f"{gate['drop']:.1%}"
    if high > low:
        known += f", {gate['confidence']:.0%} interval {low:.1%} to {high:.1%}"
    yield "drop", f"{known}: {_OUTCOMES[gate['outcome']].format(gate['max_drop'])}"
    if gate["outcome"] == "undecided":
        count = gate["images_to_decide"]
        more = "no affordable number of images" if count is None else f"about {count} images"
        yield "", f"{more} would decide at this rate"


def _float_rows(nodes: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the nodes that stay float, grouped by reason."""
    named: dict[str, list[str]] = {}
    for row in nodes:
        named.setdefault(row["reason"], []).append(row["node"])
    for reason, names in named.items():
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield "float", f"{', '.join(names[:_NAMED])}{rest}: {reason}"


def steps_table(entry: Mapping[str, Any]) -> Table:
    """List the accuracy after each step."""
    rows = [{"name": "Keras itself", "kept": True, **entry["keras"]}] if entry["keras"] else []
    rows += entry["steps"]
    measure = entry["gate"]["measure"]
    columns = {
        "SQNR": [_decibels(row["sqnr"]) for row in rows],
        "agreement": [_share(row["agreement"]) for row in rows],
        "top-1": [_share(row["top1"]) for row in rows],
        "top-5": [_share(row["top5"]) for row in rows],
        **_measured(measure, [row.get("value") for row in rows]),
        "": ["" if row["kept"] else "not kept" for row in rows],
    }
    table = headed("step", *columns, right=[name for name in columns if name])
    for index, row in enumerate(rows):
        table.add_row(row["name"], *(cells[index] for cells in columns.values()))
    return table


def _measured(measure: str, values: list[float | None]) -> dict[str, list[str]]:
    """Return the column of a task's measure, which has no value where classes are judged."""
    if None in values:
        return {}
    return {title_of(measure): [written(measure, value or 0.0) for value in values]}


def layers_table(entry: Mapping[str, Any]) -> Table:
    """List the layers with the most quantization noise."""
    table = headed("noisiest layers", "SQNR", right=("SQNR",))
    known = [row for row in entry["layers"] if row["sqnr"] is not None]
    for row in sorted(known, key=lambda row: row["sqnr"])[:_WORST]:
        table.add_row(row["node"], _decibels(row["sqnr"]))
    return table


def tables(entry: Mapping[str, Any], speed: "Speed | None") -> Iterable[Table]:
    """Yield all tables about int8 that have rows."""
    yield quantization_table(entry, speed)
    yield steps_table(entry)
    if any(row["sqnr"] is not None for row in entry["layers"]):
        yield layers_table(entry)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} dB"
