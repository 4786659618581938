"""The first line of an export's result: what was kept of Keras, how fast it is, and how large."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexport.cli.tables.table import megabytes
from kexport.measures.names import title_of, written

if TYPE_CHECKING:
    from kexport.calibration.accuracy.latency import Speed


def summary(manifest: Mapping[str, Any], size: int, speed: "Speed | None") -> str:
    """Describe an int8 bundle in a line: accuracy beside Keras, speed and size beside fp32.

    Args:
        manifest: the manifest of a quantized model.
        size: the bytes of the model's files.
        speed: its times, where they were measured.
    """
    entry = manifest["quantization"]
    parts = [_accuracy(manifest, entry)]
    if speed is not None:
        parts.append(_speed(speed.factor))
    return ", ".join([*parts, f"{megabytes(entry['float_bytes'])} -> {megabytes(size)}"])


def _accuracy(manifest: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    found, keras = entry["labelled"], manifest["labelled"]
    if found is not None:
        name, (low, high) = found["measure"], found["interval"]
        ends = f"{written(name, low, unit=False)} to {written(name, high, unit=False)}"
        return (
            f"{title_of(name)}: Keras {written(name, keras['value'])} -> int8 "
            f"{written(name, found['value'])} on {found['images']} images ({ends})"
        )
    gate, last = entry["gate"], next(row for row in reversed(entry["steps"]) if row["kept"])
    images = f"{entry['judged_on']} images"
    if gate["measure"] == "agreement":
        low, high = gate["interval"]
        return (
            f"int8 gives Keras' class on {1 - gate['drop']:.1%} of {images} "
            f"({100 * (1 - high):.1f} to {100 * (1 - low):.1f})"
        )
    if last["sqnr"] is None:
        return f"int8 equals Keras on {images}"
    return f"int8 has an SQNR of {last['sqnr']:.1f} dB beside Keras on {images}"


def _speed(factor: float) -> str:
    times = f"{max(factor, 1 / factor):.1f} times"
    if times == "1.0 times":
        return "as fast as fp32"
    return f"{times} {'faster' if factor > 1 else 'slower'}"
