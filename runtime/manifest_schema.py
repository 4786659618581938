"""Manifest schema: `docs/manifest.schema.json` as a table of small checks.

Devices that run bundles have no JSON Schema library, so the schema is repeated here; tests compare
the verdicts of the two. Keys that the schema does not name are allowed: a later kexport may add
some without a new schema number, and this runtime still reads its bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .schema_checks import (
    all_of,
    anything,
    boolean,
    if_present,
    integer,
    list_of,
    mapping_of,
    matching,
    non_empty_string,
    number,
    object_with,
    one_of,
    or_null,
    string,
    tuple_of,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .schema_checks import Check

SCHEMA = 1
"""The version of the manifest schema that this runtime reads."""

DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
"""Element types of inputs and outputs, by their NumPy names."""

SCORES = ("probabilities", "logits")
RANKED = ("indices", "scores")
KINDS = (*SCORES, "features", "tensor", *RANKED)
"""What an output means: softmax scores, scores before softmax, pooled features, anything else, the
indices of the best classes, and the scores of those."""

TASKS = (
    "classify",
    "binary",
    "multilabel",
    "segment",
    "detect",
    "regress",
    "embed",
    "image",
    "raw",
)
"""What the outputs are for."""

COLORS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1, "NV12": 1, "YUYV": 2}
"""Pixel format -> size of the channel axis: the values stored for each pixel, or for NV12 in each
column of its two planes."""

_FILTERS = {
    "tf": (
        *("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5"),
        *("bilinear-antialias", "bicubic-antialias", "lanczos3-antialias", "lanczos5-antialias"),
    ),
    "pil": ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"),
    "cv2": ("nearest", "linear", "cubic", "area"),
}
METHODS = tuple(f"{library}-{name}" for library, names in _FILTERS.items() for name in names)
"""Methods of resizing outside the graph: a library and its filter."""

FITS = ("stretch", "crop", "pad")
"""What resizing outside the graph does with another aspect ratio: nothing, crop to the largest
window around the centre, or add black borders."""

_PART = r"(?!\.{1,2}(?:/|(?![\s\S])))[^/\\:\x00-\x1f]+"
FILE_NAME = rf"^{_PART}(?:/{_PART})*(?![\s\S])"
"""A path inside the bundle: relative, with forward slashes, without `.` or `..` as a part."""

REQUIRED = ("model.onnx", "golden.npz", "run.py", "runtime/__init__.py")
"""Files that every bundle contains."""

SHA256 = r"^[0-9a-f]{64}(?![\s\S])"
"""A SHA-256 in lower-case hexadecimal."""


def faults(manifest: object) -> Iterator[str]:
    """Yield one sentence for each way in which parsed JSON violates the schema."""
    return _MANIFEST(manifest, "")


def _image(channels: int) -> Check:
    last = object_with(shape=tuple_of(_SIZE, _SIZE, _SIZE, one_of(channels)))
    second = object_with(shape=tuple_of(_SIZE, one_of(channels), _SIZE, _SIZE))
    return all_of(
        object_with(
            dtype=one_of("uint8", "float32"),
            layout=one_of("NHWC", "NCHW"),
            range=tuple_of(one_of(0), one_of(255)),
        ),
        when("layout", "NHWC", last),
        when("layout", "NCHW", second),
    )


_SIZE = or_null(integer(1))
_DTYPE = one_of(*DTYPES)
_HASH = matching(SHA256, "a SHA-256 in lower-case hexadecimal")

_NUMBERS = list_of(number(float("-inf")), 1)
_CUSTOM = object_with(scale=_NUMBERS, mean=_NUMBERS, std=_NUMBERS, bgr=boolean)
_PREPROCESSING = all_of(
    object_with(mode=one_of("none", "unit", "tf", "caffe", "torch", "custom"), folded=boolean),
    when("mode", "custom", _CUSTOM),
    if_present("resize", one_of("nearest", "bilinear", "bicubic", None)),
    if_present("crop", one_of("center", None)),
    if_present("size", or_null(tuple_of(integer(1), integer(1)))),
)
_INPUT = all_of(
    object_with(
        name=non_empty_string,
        dtype=_DTYPE,
        shape=list_of(_SIZE, 1),
        layout=one_of("NHWC", "NCHW", None),
        color=one_of(*COLORS, None),
        range=or_null(tuple_of(number(float("-inf")), number(float("-inf")))),
    ),
    if_present("resize", object_with(method=one_of(*METHODS), fit=one_of(*FITS))),
    if_present("preprocessing", _PREPROCESSING),
    *(when("color", color, _image(channels)) for color, channels in COLORS.items()),
)
_OF = object_with(of=object_with(kind=one_of(*SCORES), classes=integer(1)))
_OUTPUT = all_of(
    object_with(
        name=non_empty_string,
        dtype=_DTYPE,
        shape=list_of(_SIZE),
        kind=one_of(*KINDS),
        layer=non_empty_string,
    ),
    *(when("kind", kind, _OF) for kind in RANKED),
)
_MEASURE = object_with(
    max_abs=number(0),
    error=number(0),
    tolerance=number(0),
    top1_agreement=or_null(number(0, 1)),
)
_STEP = object_with(
    name=non_empty_string,
    seconds=or_null(number(0)),
    nodes_before=integer(0),
    nodes_after=integer(0),
)
_BUILD = object_with(
    builder=one_of("tensorrt", "tensorrt_rtx"),
    program=one_of("build_engine.py", "build_engine.sh"),
    version=non_empty_string,
    float32_layers=list_of(string),
    compute_capabilities=list_of(non_empty_string),
)
_SCORED = object_with(output=non_empty_string, from_logits=boolean)
_THRESHOLDED = all_of(_SCORED, object_with(threshold=number(0, 1)))
_ANY = number(float("-inf"))
_BYTE = all_of(integer(0), number(0, 255))
_SEGMENT = all_of(
    _SCORED,
    object_with(
        threshold=or_null(number(0, 1)),
        palette=or_null(list_of(tuple_of(_BYTE, _BYTE, _BYTE), 1)),
    ),
)
_DETECT = object_with(
    boxes=non_empty_string,
    scores=non_empty_string,
    format=one_of("xyxy", "xywh", "cxcywh", "yxyx"),
    relative=boolean,
    from_logits=boolean,
    threshold=number(0, 1),
    iou=number(0, 1),
)
_TASK = all_of(
    object_with(name=one_of(*TASKS)),
    when("name", "classify", _SCORED),
    when("name", "binary", _THRESHOLDED),
    when("name", "multilabel", _THRESHOLDED),
    when("name", "segment", _SEGMENT),
    when("name", "detect", _DETECT),
    when("name", "embed", object_with(output=non_empty_string)),
    when("name", "image", object_with(output=non_empty_string, range=tuple_of(_ANY, _ANY))),
    when("name", "regress", object_with(outputs=list_of(non_empty_string, 1))),
)
_MANIFEST = all_of(
    object_with(
        schema=one_of(SCHEMA),
        kexport=non_empty_string,
        created=or_null(non_empty_string),
        model=object_with(
            name=non_empty_string, source=non_empty_string, sha256=_HASH, weights=non_empty_string
        ),
        target=object_with(
            name=non_empty_string,
            device=non_empty_string,
            precision=non_empty_string,
            opset=integer(1),
            toolchain=or_null(non_empty_string),
        ),
        inputs=list_of(_INPUT, 1),
        outputs=list_of(_OUTPUT, 1),
        preprocessing=_PREPROCESSING,
        parity=object_with(images=integer(1), passed=boolean, outputs=mapping_of(_MEASURE)),
        quantization=or_null(mapping_of(anything)),
        steps=list_of(_STEP),
        versions=mapping_of(non_empty_string),
        files=all_of(
            mapping_of(
                object_with(sha256=_HASH, bytes=integer(0)),
                keys=matching(FILE_NAME, "a path that stays inside the bundle"),
            ),
            object_with(**dict.fromkeys(REQUIRED, anything)),
        ),
    ),
    if_present("build", or_null(_BUILD)),
    if_present("task", _TASK),
)
