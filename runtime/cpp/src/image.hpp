/// Image preparation: resize pixels as the manifest says, and convert them to the format of the
/// model's input; as runtime/image.py.
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

/// One sample for an image input: `data` is the caller's own pixels, or those in `held`.
struct ImageSample {
    const void* data = nullptr;
    Shape shape;  ///< with a batch of 1
    std::vector<unsigned char> held;
};

/// Return the bytes of a row without padding.
std::size_t row_bytes(PixelFormat format, int width) noexcept;

/// Convert pixels to a sample for the input. Throws a Refusal if that is not possible.
ImageSample image_sample(const Pixels& pixels, const InputInfo& input);

}  // namespace kexport
