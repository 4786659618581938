/// Placement of an image in the frame that the model sees, to carry answers back to the image; as
/// runtime/placement.py.
#pragma once

#include <cstdint>
#include <vector>

#include "manifest.hpp"

namespace kexport {

/// One axis: pixels `start` to `start + length` of an image of `own` pixels become the pixels
/// `to_start` to `to_start + to_length` of a frame of `frame` pixels.
struct Axis {
    std::int64_t own, start, length, to_start, to_length, frame;

    /// Return for each pixel of the image the cell that its centre lies in, of `count` cells that
    /// divide the frame; -1 for a pixel that the frame does not show.
    std::vector<std::int64_t> cells(std::int64_t count) const;

    /// Return where a place in the frame, in its pixels, lies in the image, within its edges.
    double own_place(double place) const;
};

/// Where the rows and the columns of an image lie in the model's frame.
struct Placement {
    Axis rows, columns;
};

/// Return the placement of an image of `height` x `width` pixels: it fills the frame, is cut to the
/// frame's aspect ratio around its centre, or has borders, as the manifest says.
Placement placement_of(const Manifest& manifest, std::int64_t height, std::int64_t width);

}  // namespace kexport
