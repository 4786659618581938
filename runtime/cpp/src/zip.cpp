#include "zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <stdexcept>

namespace kexport {

namespace {

/// APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16.
constexpr std::uint32_t local_mark = 0x04034b50, entry_mark = 0x02014b50, end_mark = 0x06054b50;
constexpr std::size_t local_bytes = 30, entry_bytes = 46, end_bytes = 22, longest_comment = 65535;

constexpr std::uint64_t largest = std::uint64_t{4} << 30;

/// Most bytes that one byte of deflated data unpacks to (zlib's "maximum compression factor").
constexpr std::uint64_t most_unpacked = 1032;

[[noreturn]] void refuse_archive(const char* what) {
    throw std::runtime_error(what);
}

/// Return `count` bytes from offset `at`.
std::string_view part(std::string_view bytes, std::uint64_t at, std::uint64_t count) {
    if (at > bytes.size() || count > bytes.size() - at) refuse_archive("the archive is cut off");
    return bytes.substr(static_cast<std::size_t>(at), static_cast<std::size_t>(count));
}

std::uint32_t little_endian(std::string_view bytes, std::size_t at, std::size_t count) {
    std::uint32_t value = 0;
    for (std::size_t index = 0; index < count; ++index)
        value |= std::uint32_t{static_cast<unsigned char>(bytes[at + index])} << (8 * index);
    return value;
}

/// Find the offset of the end-of-central-directory record, searching from the end.
std::size_t end_record(std::string_view archive) {
    if (archive.size() < end_bytes) refuse_archive("it is not a zip archive");
    const std::size_t last = archive.size() - end_bytes;
    const std::size_t first = last > longest_comment ? last - longest_comment : 0;
    for (std::size_t at = last + 1; at-- > first;)
        if (little_endian(archive, at, 4) == end_mark) return at;
    refuse_archive("it is not a zip archive");
}

class Inflation {
  public:
    Inflation() {
        if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) refuse_archive("zlib does not start");
    }
    Inflation(const Inflation&) = delete;
    Inflation& operator=(const Inflation&) = delete;
    ~Inflation() { inflateEnd(&stream); }

    z_stream stream{};
};

void inflate_into(std::vector<unsigned char>& content, std::string_view packed) {
    Inflation inflation;
    z_stream& stream = inflation.stream;
    unsigned char nothing = 0;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = content.empty() ? &nothing : content.data();
    stream.avail_out = static_cast<uInt>(content.size());
    if (inflate(&stream, Z_FINISH) != Z_STREAM_END || stream.avail_out != 0)
        refuse_archive("a member does not unpack to its size");
}

}  // namespace

std::vector<ZipMember> zip_members(std::string_view archive) {
    const std::size_t end = end_record(archive);
    const std::uint32_t count = little_endian(archive, end + 10, 2);
    std::uint64_t at = little_endian(archive, end + 16, 4);
    std::uint64_t packed = 0, unpacked = 0;
    std::vector<ZipMember> members;
    for (std::uint32_t index = 0; index < count; ++index) {
        const std::string_view entry = part(archive, at, entry_bytes);
        if (little_endian(entry, 0, 4) != entry_mark)
            refuse_archive("the archive's central directory is damaged");
        const std::uint32_t name = little_endian(entry, 28, 2);
        ZipMember member;
        member.name = part(archive, at + entry_bytes, name);
        member.method = little_endian(entry, 10, 2);
        member.crc = little_endian(entry, 16, 4);
        member.packed = little_endian(entry, 20, 4);
        member.bytes = little_endian(entry, 24, 4);
        member.start = little_endian(entry, 42, 4);
        packed += member.packed;
        unpacked += member.bytes;
        if (packed > archive.size()) refuse_archive("the archive's members overlap");
        if (unpacked > largest) refuse_archive("the archive unpacks to more than 4 GiB");
        members.push_back(member);
        at += entry_bytes + name + little_endian(entry, 30, 2) + little_endian(entry, 32, 2);
    }
    return members;
}

std::vector<unsigned char> unzipped(std::string_view archive, const ZipMember& member) {
    const std::string_view local = part(archive, member.start, local_bytes);
    if (little_endian(local, 0, 4) != local_mark)
        refuse_archive("a member is not at the offset that the central directory states");
    const std::uint64_t skipped =
        member.start + local_bytes + little_endian(local, 26, 2) + little_endian(local, 28, 2);
    const std::string_view packed = part(archive, skipped, member.packed);
    std::vector<unsigned char> content;
    if (member.method == 0) {
        if (member.packed != member.bytes)
            refuse_archive("a stored member has two different sizes");
        content.assign(packed.begin(), packed.end());
    } else if (member.method == 8) {
        if (member.bytes / most_unpacked > member.packed)
            refuse_archive("a member is larger than it can unpack to");
        content.resize(static_cast<std::size_t>(member.bytes));
        inflate_into(content, packed);
    } else {
        refuse_archive("a member's compression is not deflate");
    }
    const auto crc = crc32_z(0, content.data(), content.size());
    if (crc != member.crc) refuse_archive("a member's CRC-32 does not match");
    return content;
}

}  // namespace kexport
