/// Parity metrics: how far the outputs of two models differ; as runtime/compare.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// Measure every output, in the manifest's order. The rows' tolerances are left at 0.
std::vector<Row> differences(const std::vector<OutputInfo>& outputs, const Arrays& given,
                             const Arrays& golden);

}  // namespace kexport
