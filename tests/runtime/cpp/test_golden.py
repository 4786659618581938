"""A damaged or hostile golden.npz is refused, and never crashes the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_files import npy, npz

from kexport.runtime.golden import arrays


def said_by_python(content: bytes) -> str:
    try:
        arrays(content)
    except ValueError as error:
        return str(error)
    return "read"


@pytest.fixture
def read(sanitized, tmp_path: Path):
    """Return a function for the reader's answers to contents, which must equal Python's."""

    def told(*contents: bytes) -> list[str]:
        paths = [tmp_path / f"{index}.npz" for index in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        found: list[str] = sanitized.run("driver", "npz", *paths).out.splitlines()
        assert found == [said_by_python(content) for content in contents]
        return found

    return told


@pytest.fixture
def good(bundle: Path) -> bytes:
    return (bundle / "golden.npz").read_bytes()


def test_truncated_files(read, good: bytes):
    told = read(*(good[:end] for end in range(0, len(good), 7)))
    assert len(told) > 50
    assert set(told) == {"it is not a zip archive"}


def test_every_byte_changed(read, good: bytes):
    """With any byte changed, the file is either refused or read; nothing else happens."""
    start = good.index(b"PK\x01\x02")
    places = [*range(0, 400, 3), *range(start, len(good))]
    told = read(*(good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :] for at in places))
    assert len(told) == len(places)
    assert "a member's CRC-32 does not match" in told


def test_an_intact_file(read, good: bytes):
    assert read(good, npz(a=npy(np.zeros((4, 5), np.float32)))) == ["read", "read"]


def test_a_file_that_is_not_an_archive(read):
    assert read(b"x" * 1000) == ["it is not a zip archive"]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array(["a", "b"]), "an array holds something other than plain numbers"),
        (np.array([None, {}]), "an array holds something other than plain numbers"),
        (np.zeros((4, 5), ">f4"), "an array holds something other than plain numbers"),
        (np.zeros((4, 5), np.complex64), "an array holds something other than plain numbers"),
        (np.asfortranarray(np.zeros((4, 5))), "an array is in Fortran order"),
    ],
    ids=["text", "objects", "big-endian", "complex", "Fortran"],
)
def test_arrays_that_are_not_read(read, array: np.ndarray, reason: str):
    assert read(npz(image=npy(array))) == [reason]


HEAD = npy(np.zeros((4, 5), np.float32))


CHANGES = (
    (b"(4, 5)", b"(4, 6)"),
    (b"(4, 5)", b"(4, )"),
    (b"(4, 5)", b"(-4,5)"),
    (b"(4, 5)", b"(4, 5"),
    (b"(4, 5)", b"[4, 5]"),
    (b"'shape'", b"'sharp'"),
    (b"'descr'", b"'desc' "),
    (b"NUMPY", b"NUMPI"),
    (b"(4, 5), }" + b" " * 20, b"(" + b"1," * 12 + b"4,5) "),
    (b"(4, 5), }" + b" " * 20, b"(2000000000000000,), }       "),
    (b"{'descr'", b'"""descr\''),
    (b"(4, 5), }" + b" " * 20, b"(4, 99999999999999999999), }  "),
    (b"(4, 5), }" + b" " * 20, b"(4611686018427387904, 4), }   "),
    (b"(4, 5), }" + b" " * 20, b"(0, 9223372036854775807), }   "),
)


def test_invalid_headers(read):
    assert all(old in HEAD for old, _ in CHANGES)
    told = read(*(npz(image=HEAD.replace(old, new)) for old, new in CHANGES))
    assert all(line.startswith(("an array", "a member is not a NumPy array")) for line in told)
    assert len(told) == len(CHANGES)


def test_a_header_longer_than_its_file(read):
    content = bytearray(HEAD)
    content[8:10] = b"\xff\xff"
    assert read(npz(image=bytes(content))) == ["an array's header is cut off"]


def test_members_that_share_their_bytes(read):
    """A bomb: one member listed many times."""
    one = npz(a=npy(np.zeros(1 << 20, np.uint8)))
    table, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    count = 60_000
    ending = bytearray(one[end:])
    ending[8:12] = count.to_bytes(2, "little") * 2
    bomb = one[:table] + one[table:end] * count + bytes(ending)
    assert read(bomb) == ["the archive's members overlap"]


def test_a_member_larger_than_it_can_unpack_to(read):
    one = npz(a=b"")
    at = one.index(b"PK\x01\x02") + 24
    told = read(one[:at] + b"\xff\xff\xff\xff" + one[at + 4 :])
    assert told == ["a member is larger than it can unpack to"]


@pytest.mark.parametrize("shape", [(4, 6, 8, 3), (8, 6, 3), (0, 8, 6, 3), (4, 8, 6, 4)])
def test_images_that_do_not_fit(plain, bundle: Path, reseal, shape: tuple[int, ...]):
    scores = np.zeros((4, 5), np.float32)
    np.savez(bundle / "golden.npz", image=np.zeros(shape, np.uint8), probabilities=scores)
    reseal(bundle)
    done = plain.run("kexport-verify", bundle)
    assert done.status == 14
    assert "golden.npz does not fit the model: input 'image' takes uint8 [1, 8, 6" in done.err


def test_a_malformed_golden_file(plain, bundle: Path, reseal):
    (bundle / "golden.npz").write_bytes(b"x")
    reseal(bundle)
    done = plain.run("kexport-verify", bundle)
    assert (done.status, done.out) == (14, "")
    assert done.err == "error: golden.npz cannot be read: it is not a zip archive\n"
