#include "encoding.hpp"

#include <algorithm>
#include <cstring>

namespace kexport {

namespace {

using Bytes = std::vector<std::uint8_t>;

/// BT.601 in limited range, in units of 2^-20, as OpenCV encodes:
/// Y = 0.257 R + 0.504 G + 0.098 B + 16, U = -0.148 R - 0.291 G + 0.439 B + 128,
/// V = 0.439 R - 0.368 G - 0.071 B + 128.
struct Weights {
    std::int64_t red, green, blue, offset;
};

constexpr Weights luma{269484, 528482, 102760, 16};
constexpr Weights blueness{-155188, -305135, 460324, 128};
constexpr Weights redness{460324, -385875, -74448, 128};

struct Colour {
    std::int64_t red, green, blue;
};

std::uint8_t weighted(const Colour& colour, const Weights& by) {
    const std::int64_t total =
        colour.red * by.red + colour.green * by.green + colour.blue * by.blue;
    return static_cast<std::uint8_t>(((total + (1 << 19)) >> 20) + by.offset);
}

Colour colour_at(const Plane& plane, std::size_t row, std::size_t column) {
    const std::uint8_t* pixel = plane.values.data() + (row * plane.width + column) * 3;
    return {pixel[0], pixel[1], pixel[2]};
}

/// The mean of `rows` x 2 pixels, rounded.
Colour mean(const Plane& plane, std::size_t row, std::size_t column, std::size_t rows) {
    Colour sum{0, 0, 0};
    for (std::size_t down = 0; down < rows; ++down) {
        for (std::size_t along = 0; along < 2; ++along) {
            const Colour one = colour_at(plane, row + down, column + along);
            sum = {sum.red + one.red, sum.green + one.green, sum.blue + one.blue};
        }
    }
    const auto count = static_cast<std::int64_t>(rows * 2);
    return {(sum.red + count / 2) / count, (sum.green + count / 2) / count,
            (sum.blue + count / 2) / count};
}

Bytes nv12(const Plane& plane) {
    Bytes to;
    to.reserve(plane.height * plane.width / 2 * 3);
    for (std::size_t row = 0; row < plane.height; ++row)
        for (std::size_t column = 0; column < plane.width; ++column)
            to.push_back(weighted(colour_at(plane, row, column), luma));
    for (std::size_t row = 0; row < plane.height; row += 2) {
        for (std::size_t column = 0; column < plane.width; column += 2) {
            const Colour shared = mean(plane, row, column, 2);
            to.push_back(weighted(shared, blueness));
            to.push_back(weighted(shared, redness));
        }
    }
    return to;
}

Bytes yuyv(const Plane& plane) {
    Bytes to;
    to.reserve(plane.height * plane.width * 2);
    for (std::size_t row = 0; row < plane.height; ++row) {
        for (std::size_t column = 0; column < plane.width; column += 2) {
            const Colour shared = mean(plane, row, column, 1);
            to.push_back(weighted(colour_at(plane, row, column), luma));
            to.push_back(weighted(shared, blueness));
            to.push_back(weighted(colour_at(plane, row, column + 1), luma));
            to.push_back(weighted(shared, redness));
        }
    }
    return to;
}

/// RGB with its channels in the order of `places`; 3 stands for alpha.
Bytes reordered(const Plane& plane, std::initializer_list<std::size_t> places) {
    Bytes to;
    to.reserve(plane.height * plane.width * places.size());
    for (std::size_t at = 0; at < plane.values.size(); at += 3)
        for (const std::size_t place : places)
            to.push_back(place == 3 ? std::uint8_t{255} : plane.values[at + place]);
    return to;
}

Bytes interleaved(const Plane& plane, const std::string& color) {
    if (color == "BGR") return reordered(plane, {2, 1, 0});
    if (color == "RGBA") return reordered(plane, {0, 1, 2, 3});
    if (color == "BGRA") return reordered(plane, {2, 1, 0, 3});
    if (color == "NV12") return nv12(plane);
    if (color == "YUYV") return yuyv(plane);
    return plane.values;
}

Bytes channels_first(const Bytes& last, std::size_t channels) {
    const std::size_t pixels = last.size() / channels;
    Bytes to(last.size());
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
        for (std::size_t channel = 0; channel < channels; ++channel)
            to[channel * pixels + pixel] = last[pixel * channels + channel];
    return to;
}

}  // namespace

void crop_to_even(Plane& plane, const std::string& color) {
    const std::size_t height = color == "NV12" ? plane.height / 2 * 2 : plane.height;
    const bool pairs = color == "NV12" || color == "YUYV";
    const std::size_t width = pairs ? plane.width / 2 * 2 : plane.width;
    if (width != plane.width) {
        for (std::size_t row = 1; row < height; ++row)
            std::memmove(plane.values.data() + row * width * plane.channels,
                         plane.values.data() + row * plane.width * plane.channels,
                         width * plane.channels);
    }
    plane.height = height;
    plane.width = width;
    plane.values.resize(height * width * plane.channels);
}

std::vector<unsigned char> encoded(const Plane& plane, const InputInfo& input, Shape& shape) {
    Bytes values = interleaved(plane, input.color);
    const auto width = static_cast<std::int64_t>(plane.width);
    const bool first = input.layout == "NCHW";
    const std::int64_t channels = input.shape[first ? 1 : 3];
    const std::int64_t height = static_cast<std::int64_t>(values.size()) / channels / width;
    shape = first ? Shape{1, channels, height, width} : Shape{1, height, width, channels};
    if (first) values = channels_first(values, static_cast<std::size_t>(channels));
    if (input.dtype == DType::uint8) return values;
    const std::vector<float> floats(values.begin(), values.end());
    std::vector<unsigned char> bytes(floats.size() * sizeof(float));
    std::memcpy(bytes.data(), floats.data(), bytes.size());
    return bytes;
}

}  // namespace kexport
