/// PNG encoding with zlib alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace programs {

/// Return the content of a PNG file of 8 bits a value, for `channels` 1 (grey) or 3 (RGB). With a
/// palette, the one channel is indices of its colours; an index beyond it is black. Throws
/// std::runtime_error if zlib has too little memory.
std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height, int channels,
                       const std::vector<kexport::Color>& palette = {});

}  // namespace programs
