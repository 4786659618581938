#include "resize.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "resize_taps.hpp"

namespace kexport {

namespace {

/// How the taps of both axes make a value. `interpolate` is TensorFlow's way to weigh two by two;
/// the others add weighted pixels up, first along the axis that is named.
enum class Sum { pick, interpolate, down_first, along_first, in_2048ths, area, pillow };

/// A method: its sum, and either the taps of an axis or the filter of Pillow.
struct Method {
    std::string_view name;
    Sum sum;
    AxisTaps axis;
    const PillowFilter* filter;
};

const Method methods[] = {
    {"tf-nearest", Sum::pick, tf_nearest, nullptr},
    {"tf-bilinear", Sum::interpolate, tf_bilinear, nullptr},
    {"tf-bicubic", Sum::down_first, tf_bicubic, nullptr},
    {"tf-area", Sum::along_first, tf_area, nullptr},
    {"tf-lanczos3", Sum::down_first, tf_lanczos3, nullptr},
    {"tf-lanczos5", Sum::down_first, tf_lanczos5, nullptr},
    {"tf-bilinear-antialias", Sum::down_first, tf_bilinear_antialias, nullptr},
    {"tf-bicubic-antialias", Sum::down_first, tf_bicubic_antialias, nullptr},
    {"tf-lanczos3-antialias", Sum::down_first, tf_lanczos3_antialias, nullptr},
    {"tf-lanczos5-antialias", Sum::down_first, tf_lanczos5_antialias, nullptr},
    {"pil-nearest", Sum::pick, nullptr, nullptr},
    {"pil-bilinear", Sum::pillow, nullptr, &pil_bilinear},
    {"pil-bicubic", Sum::pillow, nullptr, &pil_bicubic},
    {"pil-box", Sum::pillow, nullptr, &pil_box},
    {"pil-hamming", Sum::pillow, nullptr, &pil_hamming},
    {"pil-lanczos", Sum::pillow, nullptr, &pil_lanczos},
    {"cv2-nearest", Sum::pick, cv2_nearest, nullptr},
    {"cv2-linear", Sum::in_2048ths, cv2_linear, nullptr},
    {"cv2-cubic", Sum::in_2048ths, cv2_cubic, nullptr},
    {"cv2-area", Sum::area, cv2_area, nullptr},
};

/// The taps of both axes, with places in the whole image.
struct Both {
    Taps down, along;
};

/// Sizes of interleaved values.
struct Extent {
    std::size_t height, width, channels;
};

const Method& method_of(const Resize& resize) {
    const auto is_named = [&](const Method& method) { return method.name == resize.method; };
    return *std::find_if(std::begin(methods), std::end(methods), is_named);
}

Taps shifted(Taps taps, std::int64_t by) {
    for (std::int64_t& place : taps.places) place += by;
    return taps;
}

Both taps_of(AxisTaps axis, const Window& window) {
    return {shifted(axis(window.height, window.to_height), window.top),
            shifted(axis(window.width, window.to_width), window.left)};
}

Both taps_of(const Method& method, Size from, const Window& window) {
    if (method.axis != nullptr) return taps_of(method.axis, window);
    const Span down{from.height, window.top, window.height};
    const Span along{from.width, window.left, window.width};
    if (method.filter == nullptr)
        return {pil_nearest(down, window.to_height), pil_nearest(along, window.to_width)};
    return {pil_filtered(*method.filter, down, window.to_height),
            pil_filtered(*method.filter, along, window.to_width)};
}

/// Return the places that taps use, in order, and make the taps count among these.
Places used_by(Taps& taps) {
    Places used = taps.places;
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    for (std::int64_t& place : taps.places)
        place = std::lower_bound(used.begin(), used.end(), place) - used.begin();
    return used;
}

/// Add the weighted sources up along the height or the width, the first source first.
template <class Value, class From, class Weight>
std::vector<Value> summed(const std::vector<From>& values, Extent& extent, const Taps& taps,
                          const std::vector<Weight>& weights, bool is_down) {
    const Extent from = extent;
    const std::size_t positions = taps.places.size() / taps.each;
    (is_down ? extent.height : extent.width) = positions;
    const std::size_t row = from.width * from.channels;
    const std::size_t step = is_down ? row : from.channels;  // from one source to the next
    std::vector<Value> sums(extent.height * extent.width * extent.channels);
    for (std::size_t at = 0, to = 0; to < sums.size(); ++at) {
        // `at` counts pixels of the result; its row or column decides which taps it has
        const std::size_t y = at / extent.width, x = at % extent.width;
        const std::size_t first = (is_down ? y : x) * taps.each;
        const std::size_t beside = is_down ? x * from.channels : y * row;
        for (std::size_t channel = 0; channel < from.channels; ++channel, ++to) {
            Value sum{};
            for (std::size_t tap = first; tap < first + taps.each; ++tap) {
                const std::size_t place = static_cast<std::size_t>(taps.places[tap]) * step;
                const Value part = static_cast<Value>(values[beside + place + channel]) *
                                   static_cast<Value>(weights[tap]);
                sum = tap == first ? part : sum + part;
            }
            sums[to] = sum;
        }
    }
    return sums;
}

std::uint8_t byte_of(std::int64_t value) {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255));
}

std::vector<float> weighed(const std::vector<std::uint8_t>& bytes, Extent extent, const Both& taps,
                           bool down_first) {
    const Taps& first = down_first ? taps.down : taps.along;
    const Taps& second = down_first ? taps.along : taps.down;
    const auto between = summed<float>(bytes, extent, first, first.weights, down_first);
    auto values = summed<float>(between, extent, second, second.weights, !down_first);
    const auto factor = static_cast<float>(1.0 / static_cast<double>(first.covered * second.covered));
    for (float& value : values) value *= factor;
    return values;
}

/// Interpolate as TensorFlow does: within the rows, then between them.
std::vector<float> interpolated(const std::vector<std::uint8_t>& bytes, const Extent& extent,
                                const Both& taps) {
    const std::size_t height = taps.down.places.size() / 2, width = taps.along.places.size() / 2;
    std::vector<float> values;
    values.reserve(height * width * extent.channels);
    const auto at = [&](std::int64_t row, std::int64_t column, std::size_t channel) {
        const auto pixel = static_cast<std::size_t>(row) * extent.width +
                           static_cast<std::size_t>(column);
        return static_cast<float>(bytes[pixel * extent.channels + channel]);
    };
    for (std::size_t y = 0; y < height; ++y) {
        const std::int64_t above = taps.down.places[y * 2], below = taps.down.places[y * 2 + 1];
        const float down = taps.down.weights[y * 2 + 1];
        for (std::size_t x = 0; x < width; ++x) {
            const std::int64_t left = taps.along.places[x * 2];
            const std::int64_t right = taps.along.places[x * 2 + 1];
            const float along = taps.along.weights[x * 2 + 1];
            for (std::size_t channel = 0; channel < extent.channels; ++channel) {
                const float start = at(above, left, channel), next = at(below, left, channel);
                const float upper = start + (at(above, right, channel) - start) * along;
                const float lower = next + (at(below, right, channel) - next) * along;
                values.push_back(upper + (lower - upper) * down);
            }
        }
    }
    return values;
}

/// Add up in whole numbers as OpenCV does. The sum of two rows drops bits of each product.
std::vector<std::uint8_t> weighed_in_2048ths(const std::vector<std::uint8_t>& bytes, Extent extent,
                                             const Both& taps) {
    const auto lines = summed<std::int64_t>(bytes, extent, taps.along, taps.along.whole, false);
    const std::size_t row = extent.width * extent.channels, each = taps.down.each;
    std::vector<std::uint8_t> values;
    values.reserve(taps.down.places.size() / each * row);
    for (std::size_t first = 0; first < taps.down.places.size(); first += each) {
        for (std::size_t at = 0; at < row; ++at) {
            std::int64_t sum = 0;
            for (std::size_t tap = first; tap < first + each; ++tap) {
                const auto line = static_cast<std::size_t>(taps.down.places[tap]) * row;
                const std::int64_t value = lines[line + at], weight = taps.down.whole[tap];
                sum += each == 2 ? (weight * (value >> 4)) >> 16 : weight * value;
            }
            values.push_back(byte_of(each == 2 ? (sum + 2) >> 2 : (sum + (1 << 21)) >> 22));
        }
    }
    return values;
}

/// Average blocks of whole pixels.
std::vector<std::uint8_t> averaged(const std::vector<std::uint8_t>& bytes, Extent extent,
                                   const Both& taps) {
    const auto lines = summed<std::int64_t>(bytes, extent, taps.along, taps.along.whole, false);
    const auto sums = summed<std::int64_t>(lines, extent, taps.down, taps.down.whole, true);
    const std::size_t area = taps.down.each * taps.along.each;
    std::vector<float> means;
    if (taps.down.each == 2 && taps.along.each == 2) {
        std::vector<std::uint8_t> values;
        for (const std::int64_t sum : sums) values.push_back(byte_of((sum + 2) >> 2));
        return values;
    }
    for (const std::int64_t sum : sums)
        means.push_back(static_cast<float>(sum) * (1.0F / static_cast<float>(area)));
    return rounded(means);
}

/// Filter as Pillow does, one axis after the other, each rounded to bytes. `axes` says of each
/// whether it is down.
std::vector<std::uint8_t> filtered(std::vector<std::uint8_t> bytes, Extent extent, const Both& taps,
                                   const std::vector<bool>& axes) {
    for (const bool down : axes) {
        const Taps& by = down ? taps.down : taps.along;
        const auto sums = summed<std::int64_t>(bytes, extent, by, by.whole, down);
        bytes.clear();
        for (const std::int64_t sum : sums) bytes.push_back(byte_of((sum + (1 << 21)) >> 22));
    }
    return bytes;
}

/// Whether Pillow filters down first: where that leaves less to do, by its own estimate. Found by
/// experiment with Pillow 13; former releases always filter along the rows first.
bool filters_down_first(Size from, const Window& window) {
    return window.to_height < from.height &&
           from.height - window.to_height > 2 * (from.width - window.to_width);
}

Taps unchanged(std::int64_t first, std::int64_t length) {
    Taps taps;
    for (std::int64_t at = 0; at < length; ++at) taps.places.push_back(first + at);
    return taps;
}

/// Load the pixels that the taps use.
std::vector<std::uint8_t> load(const PixelSource& image, Both& taps, std::size_t channels,
                               Extent& extent) {
    const Places rows = used_by(taps.down), columns = used_by(taps.along);
    extent = {rows.size(), columns.size(), channels};
    return image(rows, columns);
}

Resampled resampled(const PixelSource& image, Size from, const Window& window,
                    std::size_t channels, const Method& method) {
    Both taps = taps_of(method, from, window);
    Extent extent{};
    if (method.sum == Sum::pick) return {image(taps.down.places, taps.along.places), {}};
    if (method.sum == Sum::area) {
        const bool grows = window.height < window.to_height || window.width < window.to_width;
        const bool is_whole =
            window.height % window.to_height == 0 && window.width % window.to_width == 0;
        if (grows || is_whole) taps = taps_of(grows ? cv2_area_enlarged : blocks, window);
        const auto bytes = load(image, taps, channels, extent);
        if (grows) return {weighed_in_2048ths(bytes, extent, taps), {}};
        if (is_whole) return {averaged(bytes, extent, taps), {}};
        return {rounded(weighed(bytes, extent, taps, false)), {}};
    }
    if (method.sum == Sum::pillow) {
        const bool is_along = window.width != from.width || window.to_width != from.width;
        const bool is_down = window.height != from.height || window.to_height != from.height;
        const bool down_first = filters_down_first(from, window);
        std::vector<bool> axes;
        for (const bool down : {down_first, !down_first})
            if (down ? is_down : is_along) axes.push_back(down);
        if (!is_along) taps.along = unchanged(0, from.width);
        if (!is_down) taps.down = unchanged(0, from.height);
        auto bytes = load(image, taps, channels, extent);
        return {filtered(std::move(bytes), extent, taps, axes), {}};
    }
    const auto bytes = load(image, taps, channels, extent);
    if (method.sum == Sum::in_2048ths) return {weighed_in_2048ths(bytes, extent, taps), {}};
    if (method.sum == Sum::interpolate) return {{}, interpolated(bytes, extent, taps)};
    return {{}, weighed(bytes, extent, taps, method.sum == Sum::down_first)};
}

/// Put the values into an image of zeros, where the window says.
template <class Value>
std::vector<Value> framed(const std::vector<Value>& values, Size to, const Window& window,
                          std::size_t channels) {
    if (values.empty()) return {};
    const auto width = static_cast<std::size_t>(to.width) * channels;
    std::vector<Value> frame(static_cast<std::size_t>(to.height) * width);
    const auto row = static_cast<std::size_t>(window.to_width) * channels;
    for (std::int64_t at = 0; at < window.to_height; ++at)
        std::copy_n(values.begin() + at * static_cast<std::ptrdiff_t>(row), row,
                    frame.begin() + (window.to_top + at) * static_cast<std::ptrdiff_t>(width) +
                        window.to_left * static_cast<std::ptrdiff_t>(channels));
    return frame;
}

Window padded(Size from, Size to) {
    const auto height = static_cast<float>(from.height), width = static_cast<float>(from.width);
    const auto most_down = static_cast<float>(to.height), most_along = static_cast<float>(to.width);
    const float ratio = std::max(width / most_along, height / most_down);
    const float tall = height / ratio, wide = width / ratio;
    const auto whole = [](float value, std::int64_t least) {
        return std::max(static_cast<std::int64_t>(value), least);
    };
    return {0, 0, from.height, from.width, whole((most_down - tall) / 2.0F, 0),
            whole((most_along - wide) / 2.0F, 0), whole(tall, 1), whole(wide, 1)};
}

}  // namespace

Window window_of(Size from, Size to, const Resize& resize) {
    if (resize.fit == "pad") return padded(from, to);
    std::int64_t tall = from.height, wide = from.width;
    if (resize.fit == "crop") {
        const bool in_float32 = resize.method.rfind("tf-", 0) == 0;
        const auto share = [in_float32](std::int64_t length, std::int64_t over, std::int64_t under) {
            if (!in_float32) return length * over / under;
            return static_cast<std::int64_t>(static_cast<float>(length * over) /
                                             static_cast<float>(under));
        };
        tall = std::max(std::min(tall, share(from.width, to.height, to.width)), std::int64_t{1});
        wide = std::max(std::min(wide, share(from.height, to.width, to.height)), std::int64_t{1});
    }
    return {(from.height - tall) / 2, (from.width - wide) / 2, tall, wide, 0, 0,
            to.height, to.width};
}

Resampled resized(const PixelSource& image, Size from, Size to, std::size_t channels,
                  const Resize& resize) {
    const Window window = window_of(from, to, resize);
    Resampled found = resampled(image, from, window, channels, method_of(resize));
    if (window.to_height == to.height && window.to_width == to.width) return found;
    return {framed(found.bytes, to, window, channels), framed(found.floats, to, window, channels)};
}

std::vector<std::uint8_t> rounded(const std::vector<float>& values) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(values.size());
    for (const float value : values)
        bytes.push_back(static_cast<std::uint8_t>(std::clamp(std::nearbyint(value), 0.0F, 255.0F)));
    return bytes;
}

}  // namespace kexport
