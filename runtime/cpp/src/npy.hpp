/// One array as numpy.save writes it; as runtime/npy.py.
#pragma once

#include <vector>

#include "array.hpp"

namespace kexport {

/// Throws std::runtime_error for what is no such array, for another byte order than this machine's,
/// and for Fortran order.
Array parse_npy(std::vector<unsigned char> file);

}  // namespace kexport
