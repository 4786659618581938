/// From the outputs for one image to the answer of the bundle's task; as runtime/predict.py.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"
#include "placement.hpp"

namespace kexport {

/// The default number of classes in an answer.
inline constexpr std::size_t top_k = 5;

/// Throw a Refusal for a setting that is out of range, or that the task has no use for.
void check_settings(const Settings& settings, const TaskInfo& task);

/// Read the outputs for the first sample, by any task but classify and raw.
Answer answer(const TaskInfo& task, const Arrays& outputs, const std::vector<std::string>& labels,
              const Settings& settings, const Placement& placement);

}  // namespace kexport
