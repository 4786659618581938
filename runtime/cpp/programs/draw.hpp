/// Boxes drawn on their image.
#pragma once

#include <vector>

#include "decode.hpp"

namespace programs {

/// Return the image, as RGB, with a frame for each box in the colour of its class: that of PASCAL
/// VOC after the class's own, so that none is black. Unlike run.py, no labels are written.
Image drawn(const Image& image, const std::vector<kexport::Box>& boxes);

}  // namespace programs
