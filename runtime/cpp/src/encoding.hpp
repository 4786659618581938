/// Decoded images in the form in which a graph takes them; as runtime/pixel_formats.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// Interleaved values: RGB with 3 channels, GRAY with 1.
struct Plane {
    std::size_t height, width, channels;
    std::vector<std::uint8_t> values;
};

/// Cut off an odd last row or column where the colour format wants even sizes.
void crop_to_even(Plane& plane, const std::string& color);

/// One sample as the input takes it, and its shape with a batch of 1. Colour of pixels that share
/// one is that of their mean; alpha is 255.
std::vector<unsigned char> encoded(const Plane& plane, const InputInfo& input, Shape& shape);

}  // namespace kexport
