/// Sampling along one axis: which source pixels make a resized one, and with which weights; as
/// runtime/resize_taps.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kexport {

/// For each resized position, `each` source places and their weights: `weights` for sums in
/// float32, which are divided by `covered`, or `whole` for sums in whole numbers.
struct Taps {
    std::size_t each = 1;
    std::vector<std::int64_t> places;
    std::vector<float> weights;
    std::vector<std::int64_t> whole;
    float covered = 1.0F;
};

/// Return the taps of an axis of `before` pixels that is resized to `after`.
using AxisTaps = Taps (*)(std::int64_t before, std::int64_t after);

Taps tf_nearest(std::int64_t before, std::int64_t after);
Taps tf_bilinear(std::int64_t before, std::int64_t after);
Taps tf_bicubic(std::int64_t before, std::int64_t after);
Taps tf_area(std::int64_t before, std::int64_t after);
Taps tf_lanczos3(std::int64_t before, std::int64_t after);
Taps tf_lanczos5(std::int64_t before, std::int64_t after);
Taps tf_bilinear_antialias(std::int64_t before, std::int64_t after);
Taps tf_bicubic_antialias(std::int64_t before, std::int64_t after);
Taps tf_lanczos3_antialias(std::int64_t before, std::int64_t after);
Taps tf_lanczos5_antialias(std::int64_t before, std::int64_t after);
Taps cv2_nearest(std::int64_t before, std::int64_t after);
Taps cv2_linear(std::int64_t before, std::int64_t after);
Taps cv2_cubic(std::int64_t before, std::int64_t after);
Taps cv2_area_enlarged(std::int64_t before, std::int64_t after);
Taps cv2_area(std::int64_t before, std::int64_t after);

/// Return taps of weight 1 for blocks of whole pixels.
Taps blocks(std::int64_t before, std::int64_t after);

/// The part of an axis of `size` pixels that is resized.
struct Span {
    std::int64_t size, first, length;
};

/// One of Pillow's filters: its value at a distance, and the distance from which it is 0.
struct PillowFilter {
    double (*kernel)(double);
    double support;
};

extern const PillowFilter pil_bilinear, pil_bicubic, pil_box, pil_hamming, pil_lanczos;

/// Return the nearest places, added up as Pillow does; a product would round differently.
Taps pil_nearest(const Span& span, std::int64_t after);

/// Return the taps of a filter, in units of 2^-22. They reach beyond the span.
Taps pil_filtered(const PillowFilter& filter, const Span& span, std::int64_t after);

}  // namespace kexport
