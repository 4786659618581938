/// Tensors that a caller gives, held to what the manifest declares; as runtime/inputs.py.
#pragma once

#include "manifest.hpp"

namespace kexport {

/// Put the caller's inputs into the manifest's order, under its copies of their names. Throws a
/// Refusal for names, dtypes and sizes that do not fit, for free sizes, and for inputs with
/// different numbers of samples.
void fit_inputs(const Input* given, std::size_t count, const std::vector<InputInfo>& infos,
                Input* fitted);

/// The same for outputs; those that are not given are left without data.
void fit_outputs(const Output* given, std::size_t count, const std::vector<OutputInfo>& infos,
                 Output* fitted);

}  // namespace kexport
