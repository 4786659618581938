/// Pixels as the model takes them: resized as Pillow's nearest, and put into the order of channels,
/// layout, dtype and YUV that its input has; as runtime/image.py and runtime/pixel_formats.py.
#pragma once

#include <cstdint>
#include <vector>

#include "manifest.hpp"

namespace kexport {

/// The caller's pixels; `stride` is never 0 here.
struct Pixels {
    const std::uint8_t* data;
    int width, height;
    std::size_t stride;
    PixelFormat format;
};

/// One sample for an input that takes images: the caller's own pixels, or `held`.
struct Arrived {
    const void* data = nullptr;
    Shape shape;  ///< with a batch of 1
    std::vector<unsigned char> held;
};

/// Bytes of a row without a gap.
std::size_t row_bytes(PixelFormat format, int width) noexcept;

/// Throws a Refusal where the pixels cannot become what the input takes.
Arrived arriving(const Pixels& pixels, const InputInfo& input);

}  // namespace kexport
