#include "resize_taps.hpp"

#include <algorithm>
#include <cmath>

namespace kexport {

namespace {

using Places = std::vector<std::int64_t>;

constexpr int cubic_table = 1024;  // fractions of a pixel that TensorFlow's bicubic filter knows
constexpr float fixed = 2048.0F;   // OpenCV's weights for bytes are whole numbers of this fraction
constexpr double pi = 3.14159265358979323846;

std::int64_t clipped(double place, std::int64_t before) {
    return static_cast<std::int64_t>(std::clamp(place, 0.0, static_cast<double>(before - 1)));
}

float scale_of(std::int64_t before, std::int64_t after) {
    return static_cast<float>(before) / static_cast<float>(after);
}

double exact_scale(std::int64_t before, std::int64_t after) {
    return 1.0 / (static_cast<double>(after) / static_cast<double>(before));
}

Taps sized(std::int64_t after, std::size_t each) {
    Taps taps;
    taps.each = each;
    taps.places.reserve(static_cast<std::size_t>(after) * each);
    return taps;
}

float half_pixel_centre(std::int64_t at, float scale) {
    return (static_cast<float>(at) + 0.5F) * scale - 0.5F;
}

/// Scale the last `each` weights to a sum of 1; the sum is taken from left to right.
void normalize_last(Taps& taps) {
    float* first = taps.weights.data() + taps.weights.size() - taps.each;
    float total = first[0];
    for (std::size_t at = 1; at < taps.each; ++at) total += first[at];
    const float factor = 1.0F / total;
    for (std::size_t at = 0; at < taps.each; ++at) first[at] *= factor;
}

/// Cubic weights at 0 to 1 pixels of distance, and at 1 to 2, in steps of 1 / cubic_table.
struct CubicTable {
    float near[cubic_table + 1], far[cubic_table + 1];

    CubicTable() {
        constexpr double a = -0.5;
        for (int at = 0; at <= cubic_table; ++at) {
            const double x = static_cast<float>(static_cast<double>(at) / cubic_table);
            const double y = x + 1;
            near[at] = static_cast<float>(((a + 2) * x - (a + 3)) * x * x + 1);
            far[at] = static_cast<float>(((a * y - 5 * a) * y + 8 * a) * y - 4 * a);
        }
    }
};

using Kernel = float (*)(float x, float radius);

float triangle(float x, float) {
    return std::max(1.0F - std::fabs(x), 0.0F);
}

float keys_cubic(float x, float) {
    const float at = std::fabs(x);
    if (at >= 2.0F) return 0.0F;
    if (at >= 1.0F) return ((-0.5F * at + 2.5F) * at - 4.0F) * at + 2.0F;
    return ((1.5F * at - 2.5F) * at) * at + 1.0F;
}

float sine(float x) {
    return static_cast<float>(std::sin(static_cast<double>(x)));
}

float lanczos(float x, float radius) {
    constexpr auto turn = static_cast<float>(pi);
    const float at = std::fabs(x);
    if (at > radius) return 0.0F;
    if (at <= 1e-3F) return 1.0F;
    return radius * sine(turn * at) * sine(turn * at / radius) / (turn * turn * at * at);
}

/// ScaleAndTranslate; with `antialias`, the kernel is widened where the image shrinks.
Taps tf_spans(Kernel kernel, float radius, bool antialias, std::int64_t before,
              std::int64_t after) {
    const float step = 1.0F / (static_cast<float>(after) / static_cast<float>(before));
    const float wide = antialias ? std::max(step, 1.0F) : 1.0F;
    const float reach = radius * wide, narrow = 1.0F / wide;
    Places first, last;
    std::int64_t most = 0;
    for (std::int64_t at = 0; at < after; ++at) {
        const float centre = (static_cast<float>(at) + 0.5F) * step;
        first.push_back(clipped(std::ceil(centre - reach - 0.5F), before));
        last.push_back(clipped(std::floor(centre + reach - 0.5F), before));
        most = std::max(most, last.back() - first.back() + 1);
    }
    Taps taps = sized(after, static_cast<std::size_t>(most));
    for (std::int64_t at = 0; at < after; ++at) {
        const float centre = (static_cast<float>(at) + 0.5F) * step;
        const std::int64_t from = first[static_cast<std::size_t>(at)];
        for (std::int64_t place = from; place < from + most; ++place) {
            const float distance = ((static_cast<float>(place) + 0.5F) - centre) * narrow;
            const bool within = place <= last[static_cast<std::size_t>(at)];
            taps.places.push_back(std::min(place, before - 1));
            taps.weights.push_back(within ? kernel(distance, radius) : 0.0F);
        }
        normalize_last(taps);
    }
    return taps;
}

std::int64_t in_2048ths(float weight) {
    return static_cast<std::int64_t>(std::nearbyint(weight * fixed));
}

void add_two(Taps& taps, double lower, float part, std::int64_t before) {
    taps.places.push_back(clipped(lower, before));
    taps.places.push_back(clipped(lower + 1, before));
    taps.whole.push_back(in_2048ths(1.0F - part));
    taps.whole.push_back(in_2048ths(part));
}

}  // namespace

Taps tf_nearest(std::int64_t before, std::int64_t after) {
    const float scale = scale_of(before, after);
    Taps taps = sized(after, 1);
    for (std::int64_t at = 0; at < after; ++at)
        taps.places.push_back(
            clipped(std::floor((static_cast<float>(at) + 0.5F) * scale), before));
    return taps;
}

Taps tf_bilinear(std::int64_t before, std::int64_t after) {
    const float scale = scale_of(before, after);
    Taps taps = sized(after, 2);
    for (std::int64_t at = 0; at < after; ++at) {
        const float centre = half_pixel_centre(at, scale), lower = std::floor(centre);
        taps.places.push_back(clipped(lower, before));
        taps.places.push_back(clipped(std::ceil(centre), before));
        taps.weights.push_back(1.0F - (centre - lower));
        taps.weights.push_back(centre - lower);
    }
    return taps;
}

Taps tf_bicubic(std::int64_t before, std::int64_t after) {
    static const CubicTable table;
    const float scale = scale_of(before, after);
    Taps taps = sized(after, 4);
    for (std::int64_t at = 0; at < after; ++at) {
        const float centre = half_pixel_centre(at, scale), lower = std::floor(centre);
        const auto part = static_cast<int>(
            std::nearbyint((centre - lower) * static_cast<float>(cubic_table)));
        const int rest = cubic_table - part;
        const float weights[] = {table.far[part], table.near[part], table.near[rest],
                                 table.far[rest]};
        for (int tap = 0; tap < 4; ++tap) {
            const auto place = static_cast<std::int64_t>(lower) + tap - 1;
            const bool within = place >= 0 && place < before;
            taps.places.push_back(std::clamp<std::int64_t>(place, 0, before - 1));
            taps.weights.push_back(within ? weights[tap] : 0.0F);
        }
        normalize_last(taps);
    }
    return taps;
}

Taps tf_area(std::int64_t before, std::int64_t after) {
    const float scale = scale_of(before, after);
    std::int64_t most = 0;
    const auto start_of = [scale](std::int64_t at) { return static_cast<float>(at) * scale; };
    for (std::int64_t at = 0; at < after; ++at)
        most = std::max(most, static_cast<std::int64_t>(std::ceil(start_of(at + 1))) -
                                  static_cast<std::int64_t>(std::floor(start_of(at))));
    Taps taps = sized(after, static_cast<std::size_t>(most));
    taps.covered = scale;
    for (std::int64_t at = 0; at < after; ++at) {
        const float start = start_of(at), end = start_of(at + 1);
        const auto first = static_cast<std::int64_t>(std::floor(start));
        const auto last = static_cast<std::int64_t>(std::ceil(end));
        for (std::int64_t place = first; place < first + most; ++place) {
            const auto left = static_cast<float>(place);
            const bool ends = left + 1.0F > end;
            const float inside = ends ? end - left : 1.0F;
            const float cut = ends ? scale : left + 1.0F - start;
            taps.places.push_back(std::clamp<std::int64_t>(place, 0, before - 1));
            taps.weights.push_back(place >= last ? 0.0F : left < start ? cut : inside);
        }
    }
    return taps;
}

Taps tf_lanczos3(std::int64_t before, std::int64_t after) {
    return tf_spans(lanczos, 3.0F, false, before, after);
}
Taps tf_lanczos5(std::int64_t before, std::int64_t after) {
    return tf_spans(lanczos, 5.0F, false, before, after);
}
Taps tf_bilinear_antialias(std::int64_t before, std::int64_t after) {
    return tf_spans(triangle, 1.0F, true, before, after);
}
Taps tf_bicubic_antialias(std::int64_t before, std::int64_t after) {
    return tf_spans(keys_cubic, 2.0F, true, before, after);
}
Taps tf_lanczos3_antialias(std::int64_t before, std::int64_t after) {
    return tf_spans(lanczos, 3.0F, true, before, after);
}
Taps tf_lanczos5_antialias(std::int64_t before, std::int64_t after) {
    return tf_spans(lanczos, 5.0F, true, before, after);
}

Taps cv2_nearest(std::int64_t before, std::int64_t after) {
    const double scale = exact_scale(before, after);
    Taps taps = sized(after, 1);
    for (std::int64_t at = 0; at < after; ++at)
        taps.places.push_back(clipped(std::floor(static_cast<double>(at) * scale), before));
    return taps;
}

Taps cv2_linear(std::int64_t before, std::int64_t after) {
    const double scale = exact_scale(before, after);
    Taps taps = sized(after, 2);
    for (std::int64_t at = 0; at < after; ++at) {
        const auto centre = static_cast<float>((static_cast<double>(at) + 0.5) * scale - 0.5);
        const float lower = std::floor(centre);
        add_two(taps, lower, centre - lower, before);
    }
    return taps;
}

Taps cv2_area_enlarged(std::int64_t before, std::int64_t after) {
    const double scale = exact_scale(before, after);
    const double grown = static_cast<double>(after) / static_cast<double>(before);
    Taps taps = sized(after, 2);
    for (std::int64_t at = 0; at < after; ++at) {
        const double lower = std::floor(static_cast<double>(at) * scale);
        const auto part =
            static_cast<float>(static_cast<double>(at + 1) - (lower + 1.0) * grown);
        add_two(taps, lower, part <= 0.0F ? 0.0F : part - std::floor(part), before);
    }
    return taps;
}

Taps cv2_cubic(std::int64_t before, std::int64_t after) {
    constexpr float a = -0.75F;
    const double scale = exact_scale(before, after);
    Taps taps = sized(after, 4);
    for (std::int64_t at = 0; at < after; ++at) {
        const auto centre = static_cast<float>((static_cast<double>(at) + 0.5) * scale - 0.5);
        const float lower = std::floor(centre), x = centre - lower, y = 1.0F - x;
        const float far = ((a * (x + 1.0F) - 5.0F * a) * (x + 1.0F) + 8.0F * a) * (x + 1.0F) -
                          4.0F * a;
        const float near = ((a + 2.0F) * x - (a + 3.0F)) * x * x + 1.0F;
        const float next = ((a + 2.0F) * y - (a + 3.0F)) * y * y + 1.0F;
        const float weights[] = {far, near, next, 1.0F - far - near - next};
        for (int tap = 0; tap < 4; ++tap) {
            taps.places.push_back(clipped(lower + static_cast<float>(tap - 1), before));
            taps.whole.push_back(in_2048ths(weights[tap]));
        }
    }
    return taps;
}

Taps cv2_area(std::int64_t before, std::int64_t after) {
    const double scale = exact_scale(before, after), whole = static_cast<double>(before);
    const auto last_of = [&](double start) {
        return std::min(std::floor(start + scale), whole - 1.0);
    };
    double most = 0.0;
    for (std::int64_t at = 0; at < after; ++at) {
        const double start = static_cast<double>(at) * scale, last = last_of(start);
        most = std::max(most, last - std::min(std::ceil(start), last) + 2.0);
    }
    Taps taps = sized(after, static_cast<std::size_t>(most));
    for (std::int64_t at = 0; at < after; ++at) {
        const double start = static_cast<double>(at) * scale, end = start + scale;
        const double cell = std::min(scale, whole - start), last = last_of(start);
        const double first = std::min(std::ceil(start), last);
        const double head = first - start > 1e-3 ? (first - start) / cell : 0.0;
        const double tail =
            end - last > 1e-3 ? std::min(std::min(end - last, 1.0), cell) / cell : 0.0;
        for (double place = first - 1.0; place < first - 1.0 + most; place += 1.0) {
            double weight = place == last ? tail : 0.0;
            if (place < last) weight = 1.0 / cell;
            if (place < first) weight = head;
            taps.places.push_back(clipped(place, before));
            taps.weights.push_back(static_cast<float>(weight));
        }
    }
    return taps;
}

Taps blocks(std::int64_t before, std::int64_t after) {
    Taps taps = sized(after, static_cast<std::size_t>(before / after));
    for (std::int64_t at = 0; at < before / after * after; ++at) taps.places.push_back(at);
    taps.whole.assign(taps.places.size(), 1);
    return taps;
}

namespace {

double sinc(double x) {
    return x == 0.0 ? 1.0 : std::sin(x * pi) / (x * pi);
}

double box_at(double x) {
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double triangle_at(double x) {
    return std::max(1.0 - std::fabs(x), 0.0);
}

double hamming_at(double x) {
    const double at = std::fabs(x);
    if (at == 0.0) return 1.0;
    if (at >= 1.0) return 0.0;
    const double turned = at * pi;
    return std::sin(turned) / turned * (0.54 + 0.46 * std::cos(turned));
}

double cubic_at(double x) {
    constexpr double a = -0.5;
    const double at = std::fabs(x);
    if (at < 1.0) return ((a + 2.0) * at - (a + 3.0)) * at * at + 1.0;
    if (at < 2.0) return (((at - 5.0) * at + 8.0) * at - 4.0) * a;
    return 0.0;
}

double lanczos_at(double x) {
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

}  // namespace

const PillowFilter pil_bilinear{triangle_at, 1.0}, pil_bicubic{cubic_at, 2.0},
    pil_box{box_at, 0.5}, pil_hamming{hamming_at, 1.0}, pil_lanczos{lanczos_at, 3.0};

Taps pil_nearest(const Span& span, std::int64_t after) {
    const double step = static_cast<double>(span.length) / static_cast<double>(after);
    Taps taps = sized(after, 1);
    double place = static_cast<double>(span.first) + step * 0.5;
    for (std::int64_t at = 0; at < after; ++at, place += step)
        taps.places.push_back(clipped(std::floor(place), span.size));
    return taps;
}

Taps pil_filtered(const PillowFilter& filter, const Span& span, std::int64_t after) {
    const double scale = static_cast<double>(span.length) / static_cast<double>(after);
    const double wide = std::max(scale, 1.0), support = filter.support * wide;
    const auto each = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
    Taps taps = sized(after, each);
    std::vector<double> weights(each);
    for (std::int64_t at = 0; at < after; ++at) {
        const double centre =
            static_cast<double>(span.first) + (static_cast<double>(at) + 0.5) * scale;
        const auto from = std::max(static_cast<std::int64_t>(centre - support + 0.5),
                                   std::int64_t{0});
        const auto to = std::min(static_cast<std::int64_t>(centre + support + 0.5), span.size);
        double total = 0.0;
        for (std::size_t tap = 0; tap < each; ++tap) {
            const std::int64_t place = from + static_cast<std::int64_t>(tap);
            const double distance = (static_cast<double>(place) - centre + 0.5) * (1.0 / wide);
            weights[tap] = place < to ? filter.kernel(distance) : 0.0;
            total += weights[tap];
            taps.places.push_back(std::min(place, span.size - 1));
        }
        for (const double weight : weights) {
            const double share = (total != 0.0 ? weight / total : weight) * (1 << 22);
            taps.whole.push_back(static_cast<std::int64_t>(share < 0.0 ? share - 0.5 : share + 0.5));
        }
    }
    return taps;
}

}  // namespace kexport
