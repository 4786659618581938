"""An untrusted golden.npz is read without evaluating it, or refused with a message."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from golden_files import npy, npz

from kexport.runtime import BundleRefused, verify
from kexport.runtime.golden import arrays

HEAD = npy(np.zeros((4, 5), np.float32))


def header(text: str) -> bytes:
    """Return an .npy file with this header, and the values of HEAD."""
    return HEAD[:8] + len(text).to_bytes(2, "little") + text.encode() + bytes(80)


@pytest.mark.parametrize(
    "dtype",
    [
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64"),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_written_by_numpy_are_read(dtype: str, shape: tuple[int, ...], save) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    stream = io.BytesIO()
    save(stream, **{"graph:\xe9": array})
    ((name, read),) = arrays(stream.getvalue()).items()
    assert name == "graph:\xe9"
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


def outcome(content: bytes) -> str:
    """Return the reader's message; any other exception fails the test."""
    try:
        arrays(content)
    except UnicodeError:
        raise
    except ValueError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999), }", "cut off"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4,", "not a tuple of whole numbers"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4, -5)}",
            "not a tuple of whole numbers",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1e3,)}",
            "not a tuple of whole numbers",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': [4, 5]}", "shape is not a tuple"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (%s)}" % ("1, " * 99), "32 dimensions"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,)}" % ("9" * 99), "too large"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (4, 5)}", "other than plain numbers"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (4, 5)}", "Fortran order"),
        ('"""', "lacks an entry"),
        ("(" * 9999, "lacks an entry"),
        ("", "lacks an entry"),
    ],
)
def test_invalid_headers_are_refused(text: str, reason: str) -> None:
    assert reason in outcome(npz(image=header(text)))


def test_a_member_that_is_not_an_array() -> None:
    assert outcome(npz(image=b"x" * 20)) == "a member is not a NumPy array"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("evil.py", "")
    assert outcome(stream.getvalue()) == "a member is not a NumPy array"


def test_members_that_share_their_bytes() -> None:
    one = npz(a=npy(np.zeros(1 << 20, np.uint8)))
    table, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    ending = bytearray(one[end:])
    ending[8:12] = (60_000).to_bytes(2, "little") * 2
    assert outcome(one[:table] + one[table:end] * 60_000 + bytes(ending)) == (
        "the archive's members overlap"
    )


def test_a_member_larger_than_it_can_unpack_to() -> None:
    one = npz(a=HEAD)
    at = one.index(b"PK\x01\x02") + 24
    told = outcome(one[:at] + b"\xff\xff\xff\xff" + one[at + 4 :])
    assert told == "a member is larger than it can unpack to"


def test_an_archive_larger_than_the_limit() -> None:
    two = npz(a=HEAD, b=HEAD)
    for mark in (two.index(b"PK\x01\x02"), two.rindex(b"PK\x01\x02")):
        two = two[: mark + 24] + b"\xff\xff\xff\xff" + two[mark + 28 :]
    assert outcome(two) == "the archive unpacks to more than 4 GiB"


def test_any_changed_byte_raises_only_the_documented_error(bundle: Path) -> None:
    good = (bundle / "golden.npz").read_bytes()
    start = good.index(b"PK\x01\x02")
    places = [*range(0, 400, 3), *range(start, len(good))]
    told = {outcome(good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :]) for at in places}
    assert "a member's CRC-32 does not match" in told
    assert len(told) >= 8


def test_the_bundle_is_refused(bundle: Path, reseal) -> None:
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000000000,), }"
    (bundle / "golden.npz").write_bytes(npz(image=header(text), probabilities=HEAD))
    reseal(bundle)
    with pytest.raises(BundleRefused, match=r"^golden\.npz cannot be read: an array is cut off$"):
        verify(bundle)


def test_too_little_memory(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(content: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("kexport.runtime.golden.arrays", exhausted)
    with pytest.raises(BundleRefused, match=r"^golden\.npz cannot be read: out of memory$"):
        verify(bundle)
