"""Zip reader for archives in memory, as numpy.savez writes them.

Stricter than `zipfile`: no member is unpacked beyond the size that the central directory states.
Supports single-part archives below 4 GiB. Section numbers are those of PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_LOCAL, _ENTRY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"  # 4.3.7, 4.3.12, 4.3.16
_LOCAL_BYTES, _ENTRY_BYTES, _END_BYTES, _LONGEST_COMMENT = 30, 46, 22, 65535
_LARGEST = 4 << 30
_MOST_UNPACKED = 1032
"""Most bytes that one byte of deflated data unpacks to (zlib's "maximum compression factor")."""


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    `packed` and `bytes` are its sizes as stored and as unpacked, `start` is the offset of its local
    header, `crc` its CRC-32. `method` is 0 for stored and 8 for deflated.
    """

    name: str
    method: int
    crc: int
    packed: int
    bytes: int
    start: int


def members(archive: bytes) -> list[Member]:
    """Return the members that the central directory lists.

    Raises ValueError for data that is not an archive, or for sizes that together are larger than
    such an archive can be.
    """
    end = _end_record(archive)
    count, at = struct.unpack_from("<10xH4xI", archive, end)
    found: list[Member] = []
    stored = content = 0
    for _ in range(count):
        entry = _part(archive, at, _ENTRY_BYTES)
        if entry[:4] != _ENTRY:
            raise ValueError("the archive's central directory is damaged")
        method, crc, packed, unpacked, name, extra, comment, start = struct.unpack(
            "<10xH4xIIIHHH8xI", entry
        )
        stored, content = stored + packed, content + unpacked
        text = _part(archive, at + _ENTRY_BYTES, name).decode("utf-8", "surrogateescape")
        if stored > len(archive):
            raise ValueError("the archive's members overlap")
        if content > _LARGEST:
            raise ValueError("the archive unpacks to more than 4 GiB")
        found.append(Member(text, method, crc, packed, unpacked, start))
        at += _ENTRY_BYTES + name + extra + comment
    return found


def unzipped(archive: bytes, member: Member) -> bytes:
    """Return a member's content.

    Raises ValueError for a member outside the archive, one that does not unpack to the size that
    the central directory states, or one with a wrong CRC-32.
    """
    local = _part(archive, member.start, _LOCAL_BYTES)
    if local[:4] != _LOCAL:
        raise ValueError("a member is not at the offset that the central directory states")
    skipped = member.start + _LOCAL_BYTES + sum(struct.unpack_from("<HH", local, 26))
    packed = _part(archive, skipped, member.packed)
    if member.method == 0:
        if member.packed != member.bytes:
            raise ValueError("a stored member has two different sizes")
        content = packed
    elif member.method == 8:
        if member.bytes // _MOST_UNPACKED > member.packed:
            raise ValueError("a member is larger than it can unpack to")
        content = _inflated(packed, member.bytes)
    else:
        raise ValueError("a member's compression is not deflate")
    if zlib.crc32(content) != member.crc:
        raise ValueError("a member's CRC-32 does not match")
    return content


def _part(archive: bytes, at: int, count: int) -> bytes:
    if at > len(archive) or count > len(archive) - at:
        raise ValueError("the archive is cut off")
    return archive[at : at + count]


def _end_record(archive: bytes) -> int:
    """Find the offset of the end-of-central-directory record, searching from the end."""
    last = len(archive) - _END_BYTES
    at = archive.rfind(_END, max(last - _LONGEST_COMMENT, 0), last + 4) if last >= 0 else -1
    if at < 0:
        raise ValueError("it is not a zip archive")
    return at


def _inflated(packed: bytes, size: int) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = stream.decompress(packed, size + 1)
    except zlib.error:
        content = b""
    if not stream.eof or len(content) != size:
        raise ValueError("a member does not unpack to its size")
    return content
