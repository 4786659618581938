/// Input validation: a caller's tensors against those that the manifest declares; as
/// runtime/inputs.py.
#pragma once

#include "manifest.hpp"

namespace kexport {

/// Copy the caller's inputs to `fitted` in the manifest's order, with the manifest's copies of
/// their names. Throws a Refusal for names, dtypes and sizes that do not match, for free sizes, and
/// for inputs with different numbers of samples.
void fit_inputs(const Input* given, std::size_t count, const std::vector<InputInfo>& infos,
                Input* fitted);

/// Do the same for outputs; those that are not given are left without data.
void fit_outputs(const Output* given, std::size_t count, const std::vector<OutputInfo>& infos,
                 Output* fitted);

}  // namespace kexport
