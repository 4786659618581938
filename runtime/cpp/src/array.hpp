/// A tensor that owns its values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

struct Array {
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
    std::vector<unsigned char> data;  ///< row-major, aligned as operator new aligns

    std::size_t elements() const noexcept { return data.size() / bytes_of(dtype); }
};

using Arrays = std::map<std::string, Array>;

/// Its values as float64; float16 and integers of up to 53 bits are exact.
std::vector<double> doubles(const Array& array);

/// The float64 value of float16 bits.
double from_half(std::uint16_t bits) noexcept;

}  // namespace kexport
