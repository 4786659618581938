#include "pixel_formats.hpp"

#include <algorithm>
#include <cstring>

namespace kexport {

namespace {

using Bytes = std::vector<std::uint8_t>;

/// BT.601 in limited range, in units of 2^-20, as in OpenCV:
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

Colour colour_at(const DecodedImage& image, std::size_t row, std::size_t column) {
    const std::uint8_t* pixel = image.values.data() + (row * image.width + column) * 3;
    return {pixel[0], pixel[1], pixel[2]};
}

/// Return the rounded mean of a block of `rows` x 2 pixels.
Colour mean(const DecodedImage& image, std::size_t row, std::size_t column, std::size_t rows) {
    Colour sum{0, 0, 0};
    for (std::size_t down = 0; down < rows; ++down) {
        for (std::size_t along = 0; along < 2; ++along) {
            const Colour one = colour_at(image, row + down, column + along);
            sum = {sum.red + one.red, sum.green + one.green, sum.blue + one.blue};
        }
    }
    const auto count = static_cast<std::int64_t>(rows * 2);
    return {(sum.red + count / 2) / count, (sum.green + count / 2) / count,
            (sum.blue + count / 2) / count};
}

Bytes nv12(const DecodedImage& image) {
    Bytes to;
    to.reserve(image.height * image.width / 2 * 3);
    for (std::size_t row = 0; row < image.height; ++row)
        for (std::size_t column = 0; column < image.width; ++column)
            to.push_back(weighted(colour_at(image, row, column), luma));
    for (std::size_t row = 0; row < image.height; row += 2) {
        for (std::size_t column = 0; column < image.width; column += 2) {
            const Colour shared = mean(image, row, column, 2);
            to.push_back(weighted(shared, blueness));
            to.push_back(weighted(shared, redness));
        }
    }
    return to;
}

Bytes yuyv(const DecodedImage& image) {
    Bytes to;
    to.reserve(image.height * image.width * 2);
    for (std::size_t row = 0; row < image.height; ++row) {
        for (std::size_t column = 0; column < image.width; column += 2) {
            const Colour shared = mean(image, row, column, 1);
            to.push_back(weighted(colour_at(image, row, column), luma));
            to.push_back(weighted(shared, blueness));
            to.push_back(weighted(colour_at(image, row, column + 1), luma));
            to.push_back(weighted(shared, redness));
        }
    }
    return to;
}

/// Reorder the channels of RGB pixels as `places` lists them; 3 is alpha.
template <class Value>
std::vector<Value> reordered(const std::vector<Value>& values,
                             std::initializer_list<std::size_t> places) {
    std::vector<Value> to;
    to.reserve(values.size() / 3 * places.size());
    for (std::size_t at = 0; at < values.size(); at += 3)
        for (const std::size_t place : places)
            to.push_back(place == 3 ? Value{255} : values[at + place]);
    return to;
}

template <class Value>
std::vector<Value> interleaved(const std::vector<Value>& values, const std::string& color) {
    if (color == "BGR") return reordered(values, {2, 1, 0});
    if (color == "RGBA") return reordered(values, {0, 1, 2, 3});
    if (color == "BGRA") return reordered(values, {2, 1, 0, 3});
    return values;
}

template <class Value>
std::vector<Value> channels_first(const std::vector<Value>& last, std::size_t channels) {
    const std::size_t pixels = last.size() / channels;
    std::vector<Value> to(last.size());
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
        for (std::size_t channel = 0; channel < channels; ++channel)
            to[channel * pixels + pixel] = last[pixel * channels + channel];
    return to;
}

std::vector<unsigned char> bytes_of(const std::vector<float>& floats) {
    std::vector<unsigned char> bytes(floats.size() * sizeof(float));
    std::memcpy(bytes.data(), floats.data(), bytes.size());
    return bytes;
}

/// Return the values in the input's format and layout; `shape` is set to theirs.
template <class Value>
std::vector<Value> arranged(std::vector<Value> values, const InputInfo& input, std::size_t width,
                            Shape& shape) {
    const bool first = input.layout == "NCHW";
    const std::int64_t channels = input.shape[first ? 1 : 3];
    const auto along = static_cast<std::int64_t>(width);
    const std::int64_t down = static_cast<std::int64_t>(values.size()) / channels / along;
    shape = first ? Shape{1, channels, down, along} : Shape{1, down, along, channels};
    return first ? channels_first(values, static_cast<std::size_t>(channels)) : values;
}

}  // namespace

bool is_subsampled(const std::string& color) {
    return color == "NV12" || color == "YUYV";
}

void crop_to_even(DecodedImage& image, const std::string& color) {
    const std::size_t height = color == "NV12" ? image.height / 2 * 2 : image.height;
    const std::size_t width = is_subsampled(color) ? image.width / 2 * 2 : image.width;
    if (width != image.width) {
        for (std::size_t row = 1; row < height; ++row)
            std::memmove(image.values.data() + row * width * image.channels,
                         image.values.data() + row * image.width * image.channels,
                         width * image.channels);
    }
    image.height = height;
    image.width = width;
    image.values.resize(height * width * image.channels);
}

std::vector<unsigned char> encoded(const DecodedImage& image, const InputInfo& input,
                                   Shape& shape) {
    if (!image.floats.empty())
        return bytes_of(arranged(interleaved(image.floats, input.color), input, image.width, shape));
    const Bytes planes = input.color == "NV12"   ? nv12(image)
                         : input.color == "YUYV" ? yuyv(image)
                                                 : interleaved(image.values, input.color);
    const Bytes values = arranged(planes, input, image.width, shape);
    if (input.dtype == DType::uint8) return values;
    return bytes_of(std::vector<float>(values.begin(), values.end()));
}

}  // namespace kexport
