/// Tasks: what a bundle's outputs are for, as the manifest's entry `task` says; as runtime/task.py.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// Return the task of a manifest that its schema allows. A bundle of an earlier kexport has no entry
/// `task`: it is "classify" if an output has scores of classes, and "raw" otherwise.
TaskInfo task_of(const nlohmann::json& manifest, const std::vector<OutputInfo>& outputs);

/// Whether the answer of a task is labels with scores: classify, binary, multilabel.
bool is_labelled(const TaskInfo& task);

}  // namespace kexport
