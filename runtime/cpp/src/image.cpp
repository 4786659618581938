#include "image.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "errors.hpp"
#include "pixel_formats.hpp"
#include "resize.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr const char* format_names[] = {"RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV"};

const char* name_of(PixelFormat format) {
    return format_names[static_cast<std::size_t>(format)];
}

/// The offsets of red, green and blue in a pixel, and the bytes from one pixel to the next.
struct Order {
    std::size_t red, green, blue, step;
};

constexpr Order orders[] = {{0, 1, 2, 3}, {2, 1, 0, 3}, {0, 1, 2, 4}, {2, 1, 0, 4}, {0, 0, 0, 1}};

/// BT.601's luma, in Pillow's fixed point.
std::uint8_t grey(const std::uint8_t* pixel, const Order& order) {
    const unsigned sum =
        pixel[order.red] * 19595U + pixel[order.green] * 38470U + pixel[order.blue] * 7471U;
    return static_cast<std::uint8_t>((sum + 0x8000U) >> 16);
}

/// Return rows and columns of the pixels as interleaved RGB, or as grey.
std::vector<std::uint8_t> converted(const Pixels& pixels, bool is_single, const Places& rows,
                                    const Places& columns) {
    const Order order = orders[static_cast<std::size_t>(pixels.format)];
    std::vector<std::uint8_t> values(rows.size() * columns.size() * (is_single ? 1U : 3U));
    std::uint8_t* to = values.data();
    for (const std::int64_t row : rows) {
        const std::uint8_t* line = pixels.data + static_cast<std::size_t>(row) * pixels.stride;
        for (const std::int64_t column : columns) {
            const std::uint8_t* pixel = line + static_cast<std::size_t>(column) * order.step;
            if (is_single) {
                *to++ = pixels.format == PixelFormat::gray ? *pixel : grey(pixel, order);
            } else {
                *to++ = pixel[order.red];
                *to++ = pixel[order.green];
                *to++ = pixel[order.blue];
            }
        }
    }
    return values;
}

Places every_place(std::int64_t count) {
    Places places(static_cast<std::size_t>(count));
    std::iota(places.begin(), places.end(), 0);
    return places;
}

/// Return the pixels in the input's size, as RGB, or as GRAY for a GRAY input.
DecodedImage fitted(const Pixels& pixels, const InputInfo& input) {
    const Size from{pixels.height, pixels.width};
    Size to = image_size(input);
    if (to.height < 0 || to.width < 0) to = from;
    const bool is_single = input.color == "GRAY";
    const auto channels = is_single ? std::size_t{1} : std::size_t{3};
    DecodedImage image{static_cast<std::size_t>(to.height), static_cast<std::size_t>(to.width),
                       channels, {}, {}};
    const PixelSource source = [&](const Places& rows, const Places& columns) {
        return converted(pixels, is_single, rows, columns);
    };
    if (to.height == from.height && to.width == from.width) {
        image.values = source(every_place(to.height), every_place(to.width));
        return image;
    }
    Resampled found = resized(source, from, to, channels, input.resize);
    const bool rounds = input.dtype == DType::uint8 || is_subsampled(input.color);
    image.values = found.floats.empty() || !rounds ? std::move(found.bytes) : rounded(found.floats);
    if (!rounds) image.floats = std::move(found.floats);
    return image;
}

/// Return the rows of an image in memory; NV12 has half as many again for its chroma.
std::size_t rows_of(const Pixels& pixels) {
    const auto rows = static_cast<std::size_t>(pixels.height);
    return pixels.format == PixelFormat::nv12 ? rows / 2 * 3 : rows;
}

/// Return the pixels unchanged, for an input of their format; they are copied only if rows are
/// padded.
ImageSample unchanged(const Pixels& pixels, const InputInfo& input) {
    ImageSample sample;
    sample.data = pixels.data;
    const std::size_t row = row_bytes(pixels.format, pixels.width), rows = rows_of(pixels);
    sample.shape = {1, static_cast<std::int64_t>(rows), pixels.width, input.shape[3]};
    if (pixels.stride != row) {
        sample.held.resize(row * rows);
        for (std::size_t at = 0; at < rows; ++at)
            std::memcpy(sample.held.data() + at * row, pixels.data + at * pixels.stride, row);
        sample.data = sample.held.data();
    }
    return sample;
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

ImageSample image_sample(const Pixels& pixels, const InputInfo& input) {
    const bool video = pixels.format == PixelFormat::nv12 || pixels.format == PixelFormat::yuyv;
    const bool odd = video && (pixels.width % 2 != 0 ||
                               (pixels.format == PixelFormat::nv12 && pixels.height % 2 != 0));
    if (fits(pixels, input) && !odd) return unchanged(pixels, input);
    if (video)
        refuse_input(cat("an image in ", name_of(pixels.format), " of ", pixels.height, " x ",
                         pixels.width, " does not fit the input ", repr(input.name), ", ",
                         described(input.dtype, input.shape), " in ", input.color),
                     "convert it to RGB, or export with the --input-format and size of the camera");
    DecodedImage image = fitted(pixels, input);
    crop_to_even(image, input.color);
    if (image.height == 0 || image.width == 0)
        refuse_input(cat("an image of ", pixels.height, " x ", pixels.width, " is too small for ",
                         input.color),
                     "give a larger image");
    ImageSample sample;
    sample.held = encoded(image, input, sample.shape);
    sample.data = sample.held.data();
    return sample;
}

}  // namespace kexport
