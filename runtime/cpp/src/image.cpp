#include "image.hpp"

#include <algorithm>
#include <cstring>

#include "encoding.hpp"
#include "faults.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr const char* format_names[] = {"RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV"};

const char* name_of(PixelFormat format) {
    return format_names[static_cast<std::size_t>(format)];
}

/// Where red, green and blue stand in a pixel, and the bytes from one pixel to the next.
struct Order {
    std::size_t red, green, blue, step;
};

constexpr Order orders[] = {{0, 1, 2, 3}, {2, 1, 0, 3}, {0, 1, 2, 4}, {2, 1, 0, 4}, {0, 0, 0, 1}};

/// The index of the pixel that each place of a resized row or column shows. Pillow adds up the
/// steps, so the sum is made here in the same way.
std::vector<std::size_t> nearest(std::int64_t from, std::int64_t to) {
    const double step = static_cast<double>(from) / static_cast<double>(to);
    std::vector<std::size_t> places(static_cast<std::size_t>(to));
    double at = step * 0.5;
    for (std::size_t& place : places) {
        place = static_cast<std::size_t>(std::min(static_cast<std::int64_t>(at), from - 1));
        at += step;
    }
    return places;
}

/// BT.601's luma, in Pillow's fixed point.
std::uint8_t grey(const std::uint8_t* pixel, const Order& order) {
    const unsigned sum =
        pixel[order.red] * 19595U + pixel[order.green] * 38470U + pixel[order.blue] * 7471U;
    return static_cast<std::uint8_t>((sum + 0x8000U) >> 16);
}

/// The pixels as RGB, or as GRAY for an input that takes that, in the input's size.
Plane drawn(const Pixels& pixels, const InputInfo& input) {
    Size size = image_size(input);
    if (size.height < 0 || size.width < 0) size = {pixels.height, pixels.width};
    const bool single = input.color == "GRAY";
    const Order order = orders[static_cast<std::size_t>(pixels.format)];
    const std::vector<std::size_t> rows = nearest(pixels.height, size.height);
    std::vector<std::size_t> columns = nearest(pixels.width, size.width);
    Plane plane{static_cast<std::size_t>(size.height),
                static_cast<std::size_t>(size.width),
                single ? std::size_t{1} : std::size_t{3},
                {}};
    plane.values.resize(plane.height * plane.width * plane.channels);
    std::uint8_t* to = plane.values.data();
    for (const std::size_t row : rows) {
        const std::uint8_t* line = pixels.data + row * pixels.stride;
        for (const std::size_t column : columns) {
            const std::uint8_t* pixel = line + column * order.step;
            if (single) {
                *to++ = pixels.format == PixelFormat::gray ? *pixel : grey(pixel, order);
            } else {
                *to++ = pixel[order.red];
                *to++ = pixel[order.green];
                *to++ = pixel[order.blue];
            }
        }
    }
    return plane;
}

/// Rows of an image in memory; NV12 has half as many again for its colours.
std::size_t rows_of(const Pixels& pixels) {
    const auto rows = static_cast<std::size_t>(pixels.height);
    return pixels.format == PixelFormat::nv12 ? rows / 2 * 3 : rows;
}

/// The pixels as they are, for an input that takes just these; copied only where rows have gaps.
Arrived as_they_are(const Pixels& pixels, const InputInfo& input) {
    Arrived arrived;
    arrived.data = pixels.data;
    const std::size_t row = row_bytes(pixels.format, pixels.width), rows = rows_of(pixels);
    arrived.shape = {1, static_cast<std::int64_t>(rows), pixels.width, input.shape[3]};
    if (pixels.stride != row) {
        arrived.held.resize(row * rows);
        for (std::size_t at = 0; at < rows; ++at)
            std::memcpy(arrived.held.data() + at * row, pixels.data + at * pixels.stride, row);
        arrived.data = arrived.held.data();
    }
    return arrived;
}

bool fits(const Pixels& pixels, const InputInfo& input) {
    const Size size = image_size(input);
    return input.dtype == DType::uint8 && input.layout == "NHWC" &&
           input.color == name_of(pixels.format) &&
           (size.height < 0 || size.height == pixels.height) &&
           (size.width < 0 || size.width == pixels.width);
}

}  // namespace

std::size_t row_bytes(PixelFormat format, int width) noexcept {
    constexpr std::size_t bytes[] = {3, 3, 4, 4, 1, 1, 2};
    return bytes[static_cast<std::size_t>(format)] * static_cast<std::size_t>(width);
}

Arrived arriving(const Pixels& pixels, const InputInfo& input) {
    const bool video = pixels.format == PixelFormat::nv12 || pixels.format == PixelFormat::yuyv;
    const bool odd = video && (pixels.width % 2 != 0 ||
                               (pixels.format == PixelFormat::nv12 && pixels.height % 2 != 0));
    if (fits(pixels, input) && !odd) return as_they_are(pixels, input);
    if (video)
        refuse_input(cat("an image in ", name_of(pixels.format), " of ", pixels.height, " x ",
                         pixels.width, " does not fit the input ", repr(input.name), ", ",
                         described(input.dtype, input.shape), " in ", input.color),
                     "convert it to RGB, or export with the --input-format and size of the camera");
    Plane plane = drawn(pixels, input);
    crop_to_even(plane, input.color);
    if (plane.height == 0 || plane.width == 0)
        refuse_input(
            cat("an image of ", pixels.height, " x ", pixels.width, " is none in ", input.color));
    Arrived arrived;
    arrived.held = encoded(plane, input, arrived.shape);
    arrived.data = arrived.held.data();
    return arrived;
}

}  // namespace kexport
