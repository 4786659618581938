/// Pixel formats: convert decoded images to the format, layout and dtype of a graph's input; as
/// runtime/pixel_formats.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// A decoded image as interleaved values: RGB with 3 channels, GRAY with 1. `floats` has the values
/// instead of `values` where a method of resizing left them unrounded.
struct DecodedImage {
    std::size_t height, width, channels;
    std::vector<std::uint8_t> values;
    std::vector<float> floats;
};

/// Return whether pixels of the format share chroma, so that it is bytes of even sizes.
bool is_subsampled(const std::string& color);

/// Cut off an odd last row or column if the pixel format needs even sizes.
void crop_to_even(DecodedImage& image, const std::string& color);

/// Convert an image to one sample for the input; `shape` is set to its shape with a batch of 1.
/// Pixels that share chroma get that of their mean colour. Alpha is 255.
std::vector<unsigned char> encoded(const DecodedImage& image, const InputInfo& input, Shape& shape);

}  // namespace kexport
