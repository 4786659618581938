/// NPY reader: one array as numpy.save writes it, without evaluating its header; as runtime/npy.py.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"

namespace kexport {

/// Parse the content of an .npy file. Throws std::runtime_error for other content, for types other
/// than plain little-endian numbers, and for Fortran order.
Array parse_npy(std::vector<unsigned char> file);

/// Parse the content of an .npy file of texts (dtype "<U"), one axis, as UTF-8. Throws
/// std::runtime_error for anything else.
std::vector<std::string> parse_texts(const std::vector<unsigned char>& file);

}  // namespace kexport
