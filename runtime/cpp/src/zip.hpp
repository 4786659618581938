/// Zip reader for archives in memory, as numpy.savez writes them; as runtime/zip.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kexport {

struct ZipMember {
    std::string_view name;
    std::uint64_t packed = 0, bytes = 0;  ///< sizes as stored and as unpacked
    std::uint64_t start = 0;              ///< offset of its local header
    std::uint32_t crc = 0;
    unsigned method = 0;  ///< 0 stored, 8 deflated
};

/// Return the members that the central directory lists. Throws std::runtime_error for data that is
/// not an archive, or for sizes that together are larger than such an archive can be. Supports
/// single-part archives below 4 GiB.
std::vector<ZipMember> zip_members(std::string_view archive);

/// Return a member's content. Throws std::runtime_error for a member outside the archive, one that
/// does not unpack to the size that the central directory states, or one with a wrong CRC-32.
std::vector<unsigned char> unzipped(std::string_view archive, const ZipMember& member);

}  // namespace kexport
