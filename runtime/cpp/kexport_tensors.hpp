/// Tensors: element types, shapes, and views of memory to read and write. Part of kexport.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace kexport {

/// Element types, by their NumPy names (`boolean` is "bool").
enum class DType : std::uint8_t {
    boolean,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64
};

const char* name_of(DType dtype) noexcept;
std::size_t bytes_of(DType dtype) noexcept;

/// The DType of a C++ type; float16, which C++17 has no type for, is named explicitly.
template <class T>
inline constexpr DType dtype_of = static_cast<DType>(255);
// clang-format off
template <> inline constexpr DType dtype_of<bool> = DType::boolean;
template <> inline constexpr DType dtype_of<std::uint8_t> = DType::uint8;
template <> inline constexpr DType dtype_of<std::uint16_t> = DType::uint16;
template <> inline constexpr DType dtype_of<std::uint32_t> = DType::uint32;
template <> inline constexpr DType dtype_of<std::uint64_t> = DType::uint64;
template <> inline constexpr DType dtype_of<std::int8_t> = DType::int8;
template <> inline constexpr DType dtype_of<std::int16_t> = DType::int16;
template <> inline constexpr DType dtype_of<std::int32_t> = DType::int32;
template <> inline constexpr DType dtype_of<std::int64_t> = DType::int64;
template <> inline constexpr DType dtype_of<float> = DType::float32;
template <> inline constexpr DType dtype_of<double> = DType::float64;
// clang-format on

/// Sizes of a tensor, the batch first: at most 8, stored in place. In the shape of a model's input
/// or output, -1 is a free size; in the shape of a tensor it is refused.
class Shape {
  public:
    static constexpr std::size_t max_rank = 8;

    Shape() = default;
    Shape(std::initializer_list<std::int64_t> sizes) noexcept
        : Shape(sizes.begin(), sizes.size()) {}
    Shape(const std::int64_t* sizes, std::size_t rank) noexcept;  ///< keeps the first 8

    std::size_t rank() const noexcept { return rank_; }
    const std::int64_t* data() const noexcept { return sizes_.data(); }
    const std::int64_t* begin() const noexcept { return data(); }
    const std::int64_t* end() const noexcept { return data() + rank_; }
    std::int64_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }
    std::int64_t& operator[](std::size_t axis) noexcept { return sizes_[axis]; }
    /// Product of the sizes; -1 if one is free or the product overflows.
    std::int64_t elements() const noexcept;

    friend bool operator==(const Shape& a, const Shape& b) noexcept;
    friend bool operator!=(const Shape& a, const Shape& b) noexcept { return !(a == b); }

  private:
    std::array<std::int64_t, max_rank> sizes_{};
    std::size_t rank_ = 0;
};

/// A view of a tensor to read in the caller's memory: row-major, without gaps, aligned for its
/// type, in main memory. The view owns nothing; name and data must outlive the call that takes it.
struct Input {
    std::string_view name;
    DType dtype = DType::uint8;
    const void* data = nullptr;
    Shape shape;

    Input() = default;
    Input(std::string_view n, DType t, const void* d, const Shape& s)
        : name(n), dtype(t), data(d), shape(s) {}
    template <class T>
    Input(std::string_view n, const T* d, const Shape& s) : Input(n, dtype_of<T>, d, s) {
        static_assert(dtype_of<T> <= DType::float64, "not the type of a tensor's elements");
    }
};

/// A view of a tensor to write in the caller's memory; otherwise as Input.
struct Output {
    std::string_view name;
    DType dtype = DType::float32;
    void* data = nullptr;
    Shape shape;

    Output() = default;
    Output(std::string_view n, DType t, void* d, const Shape& s)
        : name(n), dtype(t), data(d), shape(s) {}
    template <class T>
    Output(std::string_view n, T* d, const Shape& s) : Output(n, dtype_of<T>, d, s) {
        static_assert(dtype_of<T> <= DType::float64, "not the type of a tensor's elements");
    }
};

}  // namespace kexport
