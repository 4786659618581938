/// Image decoding: PPM and PGM always, JPEG and PNG if their libraries were found at build time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// A decoded image as interleaved rows without padding: RGB with 3 channels, grey with 1.
struct Image {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> values;
};

/// Read an image file as Keras does with Pillow: the orientation in EXIF is ignored, and
/// transparency is dropped. Faults: bad_image.
kexport::Result<Image> decode(const std::string& path);

/// Decode a file of one format. Throws std::runtime_error that says what is wrong.
Image decode_ppm(const std::vector<std::uint8_t>& file);
Image decode_jpeg(const std::vector<std::uint8_t>& file);
Image decode_png(const std::vector<std::uint8_t>& file);

/// Allocate an image of this size. Throws std::runtime_error if it is empty, or has more pixels
/// than Pillow opens.
Image sized(std::uint64_t width, std::uint64_t height, int channels);

}  // namespace programs
