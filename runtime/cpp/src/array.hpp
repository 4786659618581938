/// Arrays: tensors that own their values.
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

/// An array's values in float64, with its sizes.
struct Values {
    std::vector<double> all;
    std::vector<std::int64_t> shape;

    /// The size of the last axis.
    std::size_t width() const { return shape.empty() ? 1 : static_cast<std::size_t>(shape.back()); }
    std::size_t rows() const { return width() == 0 ? 0 : all.size() / width(); }
};

Values values_of(const Array& array);

/// Convert the values to float64; float16 and integers of up to 53 bits are exact.
std::vector<double> doubles(const Array& array);

/// Return the values of the first sample of an array whose first axis is the batch.
std::vector<double> first_sample(const Array& array);

/// Convert float16 bits to float64.
double from_half(std::uint16_t bits) noexcept;

}  // namespace kexport
