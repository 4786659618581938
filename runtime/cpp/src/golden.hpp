/// Golden samples: the arrays of golden.npz; as runtime/golden.py.
#pragma once

#include <filesystem>
#include <string_view>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// The arrays of an .npz file's content, by name. Throws std::runtime_error for what is none, or
/// holds more than arrays of plain numbers in C order.
Arrays parse_npz(std::string_view content);

/// Read `<bundle>/golden.npz`. Throws a Refusal where it cannot be read, or has no array for an
/// input or output.
Arrays read_golden(const std::filesystem::path& bundle, const Manifest& manifest);

}  // namespace kexport
