/// The members of a zip archive that lies in memory, as numpy.savez writes it; as runtime/zip.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kexport {

struct ZipMember {
    std::string_view name;
    std::uint64_t packed = 0, bytes = 0;  ///< sizes as stored and as unpacked
    std::uint64_t start = 0;              ///< where its local header lies
    std::uint32_t crc = 0;
    unsigned method = 0;  ///< 0 stored, 8 deflated
};

/// The archive's table. Throws std::runtime_error for what is no archive. Archives of one part and
/// below 4 GiB are read; sizes are as the table says, but together no larger than such an archive
/// may be.
std::vector<ZipMember> zip_members(std::string_view archive);

/// A member's content. Throws std::runtime_error where it leads out of the archive, does not unpack
/// to the size that the table says, or has another CRC-32.
std::vector<unsigned char> unzipped(std::string_view archive, const ZipMember& member);

}  // namespace kexport
