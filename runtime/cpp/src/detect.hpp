/// Boxes as answers (task detect); as runtime/detect.py.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"
#include "placement.hpp"

namespace kexport {

/// Return the objects of the first sample, best first. A box has the class with its largest score.
/// It is kept if that is `threshold` or more and no better box of its class overlaps it by more than
/// `iou`; then it is carried to the image, and cut at its edges.
std::vector<Box> boxes_of(const Arrays& outputs, const TaskInfo& task,
                          const std::vector<std::string>& labels, double threshold, double iou,
                          const Placement& placement);

}  // namespace kexport
