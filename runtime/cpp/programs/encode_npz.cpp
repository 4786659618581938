/// An archive is each member with its local header, then a directory of all headers and its end
/// (PKWARE's APPNOTE 6.3.10, section 4.3); members are stored as they are. The format of a member is
/// numpy.lib.format, version 1.0.
#include "encode_npz.hpp"

#include <zlib.h>

#include <cstdint>
#include <stdexcept>

namespace programs {

namespace {

constexpr std::uint64_t largest = 0xffffffff;
constexpr unsigned version = 20, day = 33;  // 2.0; 1 January 1980

void append(std::string& to, std::uint64_t number, int bytes) {
    for (int at = 0; at < bytes; ++at) to += static_cast<char>(number >> (8 * at) & 0xff);
}

/// Return the type as NumPy's `descr` has it, such as <f4.
std::string code_of(kexport::DType dtype) {
    const std::string name = kexport::name_of(dtype);
    const std::size_t bytes = kexport::bytes_of(dtype);
    return (bytes == 1 ? "|" : "<") + name.substr(0, 1) + std::to_string(bytes);
}

std::string npy_of(const kexport::RawOutput& output) {
    std::string header = "{'descr': '" + code_of(output.dtype) + "', 'fortran_order': False, ";
    header += "'shape': (";
    for (const std::int64_t size : output.shape) header += std::to_string(size) + ",";
    header += "), }";
    constexpr std::size_t start = 10, alignment = 64;
    const std::size_t used = start + header.size() + 1;
    header.append((alignment - used % alignment) % alignment, ' ');
    header += '\n';
    std::string npy("\x93NUMPY\x01\0", 8);
    append(npy, header.size(), 2);
    npy += header;
    npy.append(output.data.begin(), output.data.end());
    return npy;
}

/// Return what a local header and the directory have in common.
std::string common(const std::string& content, std::size_t name) {
    std::string header;
    append(header, version, 2);
    append(header, 0, 2);  // no flags
    append(header, 0, 2);  // stored
    append(header, 0, 2);  // midnight
    append(header, day, 2);
    append(header, crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()), 4);
    append(header, content.size(), 4);
    append(header, content.size(), 4);
    append(header, name, 2);
    append(header, 0, 2);  // no extra field
    return header;
}

}  // namespace

std::string encode_npz(const std::vector<kexport::RawOutput>& outputs) {
    std::string archive, directory;
    for (const kexport::RawOutput& output : outputs) {
        const std::string name = output.name + ".npy", content = npy_of(output);
        if (archive.size() + content.size() > largest)
            throw std::runtime_error("the outputs have more than 4 GiB");
        const std::string header = common(content, name.size());
        directory += "PK\x01\x02";
        append(directory, version, 2);
        directory += header;
        directory.append(10, '\0');  // no comment, one disk, no attributes
        append(directory, archive.size(), 4);
        directory += name;
        archive += "PK\x03\x04" + header + name + content;
    }
    std::string end = "PK\x05\x06";
    append(end, 0, 4);  // one disk
    append(end, outputs.size(), 2);
    append(end, outputs.size(), 2);
    append(end, directory.size(), 4);
    append(end, archive.size(), 4);
    append(end, 0, 2);  // no comment
    return archive + directory + end;
}

}  // namespace programs
