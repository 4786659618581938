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

/// Return the outputs of the first sample, in the manifest's order, without the batch axis.
std::vector<RawOutput> raw_outputs(const Arrays& outputs, const std::vector<OutputInfo>& infos);

}  // namespace kexport
