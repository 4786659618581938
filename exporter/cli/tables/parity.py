"""Lines about parity: how far the outputs are from Keras', and what no sample reaches."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_Measured = tuple[str, float, float, float]
"""Name, largest difference, error, tolerance."""

_TELLING = 0.1
"""The largest difference of a probability that tells something when it is allowed."""

_NAMED_BRANCHES = 4
"""Number of branches named that no sample reaches; manifest.json has all."""


def parity_lines(parity: Mapping[str, Any]) -> Iterable[str]:
    """Yield the differences from Keras; logits are those before the activation, where known."""
    inner = parity.get("before_activation", {})
    names = {name: "logits" if len(inner) == 1 else f"{name}.logits" for name in inner}
    recovered = {"logits", *(f"{name}.logits" for name in inner)} if inner else set()
    rows = {name: row for name, row in parity["outputs"].items() if name not in recovered}
    rows |= {names[name]: row for name, row in inner.items()}
    measured = [_measured(name, row) for name, row in rows.items()]
    own, count = parity.get("own", 0), parity["images"]
    where = f"on {own} of your samples and {count - own} hard ones" if own else f"on {count} images"
    yield from compared(measured, where, "the bundle's runtime")
    if parity.get("noise"):
        yield f"rounding alone moves Keras by {max(parity['noise'].values()):.1e} of the spread"
    if parity.get("probes"):
        yield f"and at {'; '.join(parity['probes'])}"


def engine_lines(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield how far an engine of this machine is from Keras, and from the quantized graph."""
    by_keras, by_graph = _apart([_measured(row["name"], row) for row in rows])
    yield from _measures(by_keras)
    yield from (f"{line}, by the graph" for line in _measures(by_graph))


def coverage(found: Mapping[str, Any] | None) -> Iterable[str]:
    """Yield how many branches of the graph the samples reach, and name some that they do not."""
    if found is None or not found["total"]:
        return
    yield f"{found['reached']} of {found['total']} branches reached"
    missed = [f"{row['layer']} {row['branch']}" for row in found["unreached"]]
    if missed:
        more = len(missed) - _NAMED_BRANCHES
        others = f" and {more} more, see manifest.json" if more > 0 else ""
        yield f"never: {', '.join(missed[:_NAMED_BRANCHES])}{others}"
    yield from (f"left out: {one}" for one in found["left_out"])


def compared(rows: Sequence[_Measured], where: str, what: str) -> Iterable[str]:
    """Yield differences from Keras and, if they were measured, from the quantized graph."""
    by_keras, by_graph = _apart(rows)
    yield from _measures(by_keras)
    yield f"{where}, Keras against {what}"
    if by_graph:
        yield from _measures(by_graph)
        yield f"on the same, the quantized graph against {what}"


def _measured(name: str, row: Mapping[str, Any]) -> _Measured:
    return name, row["max_abs"], row["error"], row["tolerance"]


def _apart(rows: Sequence[_Measured]) -> tuple[list[_Measured], list[_Measured]]:
    """Split rows into those measured against Keras and, under plain names, against the graph."""
    from kexport.runtime.manifest import GRAPH  # with it comes numpy

    by_keras = [row for row in rows if not row[0].startswith(GRAPH)]
    by_graph = [(row[0][len(GRAPH) :], *row[1:]) for row in rows if row[0].startswith(GRAPH)]
    return by_keras, by_graph


def _measures(rows: Sequence[_Measured]) -> Iterable[str]:
    """Yield differences, relative to the spread in the rows with the smallest tolerance.

    A probability that may be almost anything says nothing beside its logits, and is left out.
    """
    strictest = min((tolerance for _, _, _, tolerance in rows), default=0.0)
    names = [row[0] for row in rows]
    for place, (name, largest, error, tolerance) in enumerate(rows):
        if tolerance == strictest or not error:
            yield f"{name}: error {error:.1e}, tolerance {tolerance:.0e}"
            continue
        allowed = largest / error * tolerance
        has_logits = f"{name}.logits" in names or names[place + 1 : place + 2] == ["logits"]
        if not has_logits or allowed <= _TELLING:
            yield f"{name}: largest difference {largest:.1e}, allowed {allowed:.1e}"
