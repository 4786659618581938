/// Picture files: PPM and PGM always, JPEG and PNG where their libraries were there at build time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// Interleaved rows without gaps: RGB with 3 channels, grey with 1.
struct Picture {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> values;
};

/// Read a picture as Pillow opens it for Keras: the orientation in EXIF is ignored, and
/// transparency is dropped. Faults: bad_picture.
kexport::Result<Picture> decode(const std::string& path);

/// One decoder for each format. They throw std::runtime_error with what is wrong.
Picture decode_ppm(const std::vector<std::uint8_t>& file);
Picture decode_jpeg(const std::vector<std::uint8_t>& file);
Picture decode_png(const std::vector<std::uint8_t>& file);

/// A picture of these sizes, with room for its values. Throws std::runtime_error where it would be
/// empty, or has more pixels than Pillow opens.
Picture sized(std::uint64_t width, std::uint64_t height, int channels);

}  // namespace programs
