#include "array.hpp"

#include <cmath>
#include <cstring>
#include <limits>

namespace kexport {

namespace {

template <class Value>
void widen(const Array& array, std::vector<double>& wide) {
    for (std::size_t at = 0; at < wide.size(); ++at) {
        Value value;
        std::memcpy(&value, array.data.data() + at * sizeof value, sizeof value);
        wide[at] = static_cast<double>(value);
    }
}

}  // namespace

double from_half(std::uint16_t bits) noexcept {
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    double size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        size = fraction == 0 ? std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::quiet_NaN();
    return bits & 0x8000 ? -size : size;
}

std::vector<double> doubles(const Array& array) {
    std::vector<double> wide(array.elements());
    switch (array.dtype) {
        case DType::boolean:
        case DType::uint8:
            widen<std::uint8_t>(array, wide);
            break;
        case DType::uint16:
            widen<std::uint16_t>(array, wide);
            break;
        case DType::uint32:
            widen<std::uint32_t>(array, wide);
            break;
        case DType::uint64:
            widen<std::uint64_t>(array, wide);
            break;
        case DType::int8:
            widen<std::int8_t>(array, wide);
            break;
        case DType::int16:
            widen<std::int16_t>(array, wide);
            break;
        case DType::int32:
            widen<std::int32_t>(array, wide);
            break;
        case DType::int64:
            widen<std::int64_t>(array, wide);
            break;
        case DType::float32:
            widen<float>(array, wide);
            break;
        case DType::float64:
            widen<double>(array, wide);
            break;
        case DType::float16:
            for (std::size_t at = 0; at < wide.size(); ++at) {
                std::uint16_t bits;
                std::memcpy(&bits, array.data.data() + at * sizeof bits, sizeof bits);
                wide[at] = from_half(bits);
            }
    }
    return wide;
}

std::vector<double> first_sample(const Array& array) {
    std::vector<double> values = doubles(array);
    if (!array.shape.empty() && array.shape[0] > 0)
        values.resize(values.size() / static_cast<std::size_t>(array.shape[0]));
    return values;
}

Values values_of(const Array& array) {
    return {doubles(array), array.shape};
}

}  // namespace kexport
