/// Image files: PPM and PGM always, JPEG and PNG where their libraries were there at build time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// Interleaved rows without gaps: RGB with 3 channels, grey with 1.
struct Image {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> values;
};

/// Read an image as Pillow opens it for Keras: the orientation in EXIF is ignored, and
/// transparency is dropped. Faults: bad_image.
kexport::Result<Image> decode(const std::string& path);

/// One decoder for each format. They throw std::runtime_error with what is wrong.
Image decode_ppm(const std::vector<std::uint8_t>& file);
Image decode_jpeg(const std::vector<std::uint8_t>& file);
Image decode_png(const std::vector<std::uint8_t>& file);

/// An image of these sizes, with room for its values. Throws std::runtime_error where it would be
/// empty, or has more pixels than Pillow opens.
Image sized(std::uint64_t width, std::uint64_t height, int channels);

}  // namespace programs
