/// Golden samples: the inputs and expected outputs in golden.npz; as runtime/golden.py.
#pragma once

#include <filesystem>
#include <string_view>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// Parse the content of an .npz file, and return its arrays by name. Throws std::runtime_error for
/// other content, and for anything but numeric arrays in C order.
Arrays parse_npz(std::string_view content);

/// Read `<bundle>/golden.npz`. Throws a Refusal if it cannot be read, or has no array for an input
/// or output.
Arrays read_golden(const std::filesystem::path& bundle, const Manifest& manifest);

}  // namespace kexport
