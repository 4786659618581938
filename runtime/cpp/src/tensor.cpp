/// Element types and shapes: the members of DType and Shape in the public header.
#include <algorithm>
#include <limits>

#include "../kexport.hpp"

namespace kexport {

namespace {

struct Element {
    const char* name;
    std::size_t bytes;
};

constexpr Element elements[] = {{"bool", 1},   {"uint8", 1},   {"uint16", 2},  {"uint32", 4},
                                {"uint64", 8}, {"int8", 1},    {"int16", 2},   {"int32", 4},
                                {"int64", 8},  {"float16", 2}, {"float32", 4}, {"float64", 8}};

}  // namespace

const char* name_of(DType dtype) noexcept {
    return elements[static_cast<std::size_t>(dtype)].name;
}

std::size_t bytes_of(DType dtype) noexcept {
    return elements[static_cast<std::size_t>(dtype)].bytes;
}

Shape::Shape(const std::int64_t* sizes, std::size_t rank) noexcept
    : rank_(std::min(rank, max_rank)) {
    std::copy_n(sizes, rank_, sizes_.begin());
}

std::int64_t Shape::elements() const noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 8;  // bytes fit too
    std::int64_t product = 1;
    for (const std::int64_t size : *this) {
        if (size < 0 || (size > 0 && product > most / size)) return -1;
        product *= size;
    }
    return product;
}

bool operator==(const Shape& a, const Shape& b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace kexport
