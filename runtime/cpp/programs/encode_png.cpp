/// The format is a signature and chunks: length, name, content, CRC-32 (PNG Specification, 3rd
/// edition, section 5). Each row of the compressed content begins with its filter; 0 is none.
#include "encode_png.hpp"

#include <zlib.h>

#include <stdexcept>

namespace programs {

namespace {

enum ColorType : char { grey = 0, rgb = 2, indexed = 3 };

void append_number(std::string& to, std::size_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(number >> shift & 0xff);
}

void append_chunk(std::string& png, const char* name, const std::string& content) {
    append_number(png, content.size());
    const std::string checked = name + content;
    png += checked;
    append_number(png, crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                             static_cast<uInt>(checked.size())));
}

std::string compressed(const std::string& content) {
    uLongf size = compressBound(static_cast<uLong>(content.size()));
    std::string packed(size, '\0');
    if (compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                 reinterpret_cast<const Bytef*>(content.data()),
                 static_cast<uLong>(content.size())) != Z_OK)
        throw std::runtime_error("there is too little memory to write a PNG");
    packed.resize(size);
    return packed;
}

}  // namespace

std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height, int channels,
                       const std::vector<kexport::Color>& palette) {
    std::string header, colors, rows;
    append_number(header, static_cast<std::size_t>(width));
    append_number(header, static_cast<std::size_t>(height));
    header += '\x08';  // bits
    header += !palette.empty() ? indexed : channels == 3 ? rgb : grey;
    header += std::string(3, '\0');  // deflate, filters by row, not interlaced
    for (const kexport::Color& color : palette) colors.append(color.begin(), color.end());
    if (!palette.empty()) colors.resize(3 * 256, '\0');
    const std::size_t bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
    for (std::size_t at = 0; at < pixels.size(); at += bytes) {
        rows += '\0';
        rows.append(reinterpret_cast<const char*>(pixels.data()) + at, bytes);
    }
    std::string png = "\x89PNG\r\n\x1a\n";
    append_chunk(png, "IHDR", header);
    if (!palette.empty()) append_chunk(png, "PLTE", colors);
    append_chunk(png, "IDAT", compressed(rows));
    append_chunk(png, "IEND", {});
    return png;
}

}  // namespace programs
