"""Latency of a bundle on this machine, for the tables of `kexport export` and `kexport verify`."""

import time
from pathlib import Path

ENOUGH_SECONDS, ENOUGH_RUNS, FEWEST_RUNS = 0.1, 50, 3
"""A bundle is run until either is enough, and at least so often after a run that warms up."""


def of_bundle(path: Path, target: str) -> str | None:
    """Time a bundle on its golden inputs, on one thread; return it in words.

    None for a target that is not like this machine, whose times would mean nothing.

    Args:
        path: the bundle.
        target: the name of its target.
    """
    from kexport.stages.request import runs_here

    if not runs_here(target.rpartition("-")[0]):
        return None
    from kexport import runtime
    from kexport.cli.tables.table import milliseconds
    from kexport.runtime.golden import read_golden

    session = runtime.load(path, threads=1, check=False)
    golden = read_golden(path, session.manifest)
    count = session.batch or 1
    feeds = {spec.name: golden[spec.name][:count] for spec in session.manifest.inputs}
    session.run(feeds, fill=True)
    times = list[float]()
    while len(times) < FEWEST_RUNS or (sum(times) < ENOUGH_SECONDS and len(times) < ENOUGH_RUNS):
        started = time.perf_counter()
        session.run(feeds, fill=True)
        times.append(time.perf_counter() - started)
    images = "1 sample" if count == 1 else f"{count} samples"
    return f"{milliseconds(min(times) * 1e3)} for {images}, on one thread of this machine"
