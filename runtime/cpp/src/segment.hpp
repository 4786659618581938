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

}  // namespace kexport
