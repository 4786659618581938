/// Masks as answers (task segment); as runtime/segment.py.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"
#include "placement.hpp"

namespace kexport {

/// Return the mask of the first sample of [N, h, w, classes]: the class with the largest value, the
/// first of equal ones. With one channel, class 1 where the score is `threshold` or more. A pixel of
/// the image has the class of the cell that its centre lies in.
Mask mask_of(const Array& output, const TaskInfo& task, const std::vector<std::string>& labels,
             double threshold, const Placement& placement);

/// Return a class's colour, black for 0. Bit k of a class goes to bit 7 - k / 3 of red, green or blue
/// in turn, as in the masks of PASCAL VOC (the function VOClabelcolormap of its development kit).
Color voc_color(std::int64_t index);

}  // namespace kexport
