"""What a manifest must look like: `docs/manifest.schema.json` as a table of small checks.

Devices that run bundles have no JSON Schema library, so the table is written a second time here;
the tests hold the two to the same verdict. Keys that the table does not name are let through: a
later kexport may add some without a new schema number, and this runtime still reads its bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .schema_checks import (
    all_of,
    anything,
    exactly,
    fixed,
    flag,
    given,
    list_of,
    matching,
    number,
    or_null,
    record,
    string,
    table_of,
    text,
    when,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .schema_checks import Check

SCHEMA = 1
"""The number of the manifest form that this runtime reads."""

DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
"""Element types of inputs and outputs, by their NumPy names."""

SCORES = ("probabilities", "logits")
RANKED = ("indices", "scores")
KINDS = (*SCORES, "features", "tensor", *RANKED)
"""What an output means: softmax scores, scores before softmax, pooled features, anything else, the
numbers of the best classes, and what these scored."""

COLORS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1, "NV12": 1, "YUYV": 2}
"""What an image's numbers are, and how many stand along its channel axis."""

_PART = r"(?!\.{1,2}(?:/|(?![\s\S])))[^/\\:\x00-\x1f]+"
FILE_NAME = rf"^{_PART}(?:/{_PART})*(?![\s\S])"
"""A path inside the bundle: relative, with forward slashes, without `.` or `..` as a part."""

REQUIRED = ("model.onnx", "golden.npz", "run.py", "runtime/__init__.py")
"""Files that every bundle has."""

SHA256 = r"^[0-9a-f]{64}(?![\s\S])"
"""A SHA-256 in lower-case hexadecimal."""


def faults(manifest: object) -> Iterator[str]:
    """Yield one sentence for each way in which parsed JSON departs from the contract."""
    return _MANIFEST(manifest, "")


def _image(channels: int) -> Check:
    last = record(shape=fixed(_SIZE, _SIZE, _SIZE, exactly(channels)))
    second = record(shape=fixed(_SIZE, exactly(channels), _SIZE, _SIZE))
    return all_of(
        record(
            dtype=exactly("uint8", "float32"),
            layout=exactly("NHWC", "NCHW"),
            range=fixed(exactly(0), exactly(255)),
        ),
        when("layout", "NHWC", last),
        when("layout", "NCHW", second),
    )


_SIZE = or_null(whole(1))
_DTYPE = exactly(*DTYPES)
_HASH = matching(SHA256, "a SHA-256 in lower-case hexadecimal")

_INPUT = all_of(
    record(
        name=text,
        dtype=_DTYPE,
        shape=list_of(_SIZE, 1),
        layout=exactly("NHWC", "NCHW", None),
        color=exactly(*COLORS, None),
        range=or_null(fixed(number(float("-inf")), number(float("-inf")))),
    ),
    *(when("color", color, _image(channels)) for color, channels in COLORS.items()),
)
_OF = record(of=record(kind=exactly(*SCORES), classes=whole(1)))
_OUTPUT = all_of(
    record(name=text, dtype=_DTYPE, shape=list_of(_SIZE), kind=exactly(*KINDS), layer=text),
    *(when("kind", kind, _OF) for kind in RANKED),
)
_MEASURE = record(
    max_abs=number(0),
    error=number(0),
    tolerance=number(0),
    top1_agreement=or_null(number(0, 1)),
)
_STEP = record(name=text, seconds=or_null(number(0)), nodes_before=whole(0), nodes_after=whole(0))
_BUILD = record(
    builder=exactly("tensorrt", "tensorrt_rtx"),
    program=exactly("build_engine.py", "build_engine.sh"),
    version=text,
    float32_layers=list_of(string),
    compute_capabilities=list_of(text),
)
_MANIFEST = all_of(
    record(
        schema=exactly(SCHEMA),
        kexport=text,
        created=or_null(text),
        model=record(name=text, source=text, sha256=_HASH, weights=text),
        target=record(
            name=text, device=text, precision=text, opset=whole(1), toolchain=or_null(text)
        ),
        inputs=list_of(_INPUT, 1),
        outputs=list_of(_OUTPUT, 1),
        preprocessing=all_of(
            record(mode=exactly("tf", "caffe", "torch", "none"), folded=flag),
            given("resize", exactly("nearest", "bilinear", "bicubic", None)),
            given("crop", exactly("center", None)),
            given("size", or_null(fixed(whole(1), whole(1)))),
        ),
        parity=record(images=whole(1), passed=flag, outputs=table_of(_MEASURE)),
        quantization=or_null(table_of(anything)),
        steps=list_of(_STEP),
        versions=table_of(text),
        files=all_of(
            table_of(
                record(sha256=_HASH, bytes=whole(0)),
                keys=matching(FILE_NAME, "a path that stays inside the bundle"),
            ),
            record(**dict.fromkeys(REQUIRED, anything)),
        ),
    ),
    given("build", or_null(_BUILD)),
)
