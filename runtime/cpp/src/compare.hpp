/// How far two models' outputs lie apart; as runtime/compare.py and runtime/top_k.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// One measured quantity; the tolerance of a row is not known here.
std::vector<Row> differences(const std::vector<OutputInfo>& outputs, const Arrays& given,
                             const Arrays& golden);

}  // namespace kexport
