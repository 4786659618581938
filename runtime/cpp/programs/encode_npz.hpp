/// NPZ encoding: arrays as numpy.savez writes them.
#pragma once

#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// Return the content of an .npz file, uncompressed. Throws std::runtime_error for outputs of 4 GiB
/// or more together, which the format of such archives does not hold.
std::string encode_npz(const std::vector<kexport::RawOutput>& outputs);

}  // namespace programs
