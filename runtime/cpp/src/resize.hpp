/// Resizing outside the graph: how an image of another size becomes the model's; as
/// runtime/resize.py.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "manifest.hpp"

namespace kexport {

using Places = std::vector<std::int64_t>;

/// Delivers interleaved bytes of an image: the rows and columns that are listed.
using PixelSource = std::function<std::vector<std::uint8_t>(const Places& rows, const Places&)>;

/// Interleaved values in `bytes` or, for methods that round nothing, in `floats`.
struct Resampled {
    std::vector<std::uint8_t> bytes;
    std::vector<float> floats;
};

/// The part of an image that is resized, and the part of the result that it becomes.
struct Window {
    std::int64_t top, left, height, width, to_top, to_left, to_height, to_width;
};

/// Return the window of an image for a fit, rounded as the method's library does.
Window window_of(Size from, Size to, const Resize& resize);

/// Resize an image to another size. The method and the fit are those that the manifest's schema
/// allows.
Resampled resized(const PixelSource& image, Size from, Size to, std::size_t channels,
                  const Resize& resize);

/// Round to the nearest byte, halves to the even one.
std::vector<std::uint8_t> rounded(const std::vector<float>& values);

}  // namespace kexport
