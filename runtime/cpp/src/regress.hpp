/// Numbers as answers (task regress); as runtime/regress.py.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"

namespace kexport {

/// Return the numbers of the task's outputs for the first sample. The name of a number is its label.
/// Without labels it is that of its output, with its place if there are several: "box[2]".
std::vector<Number> numbers_of(const Arrays& outputs, const TaskInfo& task,
                               const std::vector<std::string>& labels);

}  // namespace kexport
