#include "draw.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../src/segment.hpp"

namespace programs {

namespace {

Image in_color(const Image& image) {
    if (image.channels == 3) return image;
    Image copy{image.width, image.height, 3, {}};
    for (const std::uint8_t value : image.values) copy.values.insert(copy.values.end(), 3, value);
    return copy;
}

/// Fill the pixels from `left` to `right` and `top` to `bottom`, all of them included.
void fill(Image& image, int left, int top, int right, int bottom, const kexport::Color& color) {
    for (int row = std::max(top, 0); row <= std::min(bottom, image.height - 1); ++row)
        for (int column = std::max(left, 0); column <= std::min(right, image.width - 1); ++column)
            std::memcpy(&image.values[3 * (static_cast<std::size_t>(row) *
                                               static_cast<std::size_t>(image.width) +
                                           static_cast<std::size_t>(column))],
                        color.data(), color.size());
}

}  // namespace

Image drawn(const Image& image, const std::vector<kexport::Box>& boxes) {
    Image picture = in_color(image);
    constexpr double lines_in_an_image = 200;
    const double shorter = std::min(image.width, image.height);
    const int width = std::max(1, static_cast<int>(std::nearbyint(shorter / lines_in_an_image)));
    for (const kexport::Box& box : boxes) {
        const kexport::Color color = kexport::voc_color(box.index % 255 + 1);
        const int left = static_cast<int>(box.left), top = static_cast<int>(box.top);
        const int right = static_cast<int>(box.right), bottom = static_cast<int>(box.bottom);
        fill(picture, left, top, right, top + width - 1, color);
        fill(picture, left, bottom - width + 1, right, bottom, color);
        fill(picture, left, top, left + width - 1, bottom, color);
        fill(picture, right - width + 1, top, right, bottom, color);
    }
    return picture;
}

}  // namespace programs
