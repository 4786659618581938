/// Image decoding: PPM and PGM always, JPEG and PNG if their libraries were found at build time.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// A decoded image as interleaved rows without padding: RGB with 3 channels, grey with 1.
struct Image {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> values;
};

/// What becomes of a grey PNG of 16 bits: TensorFlow and OpenCV take the high byte, and Keras'
/// load_img does not scale it to 0..255.
enum class Grey16 : std::uint8_t { refused, high_byte };

/// How a JPEG is decoded: as by Pillow, or with libjpeg-turbo's fast transform, as by TensorFlow,
/// which takes the luma of the file where the model takes grey images.
enum class Jpeg : std::uint8_t { accurate, fast, fast_grey };

/// What images are read like.
struct Reader {
    Grey16 grey16 = Grey16::refused;
    Jpeg jpeg = Jpeg::accurate;
};

/// Return what the images that the model was trained on were read with, as far as its input says.
Reader reader_of(const kexport::Model& model);

/// Read an image file as Keras does with Pillow or TensorFlow: the orientation in EXIF is ignored,
/// transparency is dropped, and CMYK becomes RGB. Faults: bad_image.
kexport::Result<Image> decode(const std::string& path, const Reader& reader = {});

/// An image that is whole, and cannot be used.
struct Unsuitable : std::runtime_error {
    Unsuitable(const char* what, const char* todo) : std::runtime_error(what), hint(todo) {}
    const char* hint;
};

/// Decode a file of one format. Throws Unsuitable, or std::runtime_error for a damaged file.
Image decode_ppm(const std::vector<std::uint8_t>& file);
Image decode_jpeg(const std::vector<std::uint8_t>& file, Jpeg jpeg);
Image decode_png(const std::vector<std::uint8_t>& file, Grey16 grey16);

/// Return what to throw for an image with more pixels than Pillow opens.
Unsuitable too_large();

/// Allocate an image of this size. Throws std::runtime_error if it is empty, Unsuitable if it is
/// too large.
Image sized(std::uint64_t width, std::uint64_t height, int channels);

}  // namespace programs
