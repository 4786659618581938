#include "top_k.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

namespace kexport {

namespace {

/// Whether `picked`, [N, K], are class indices into scores [N, classes], each at most once per
/// sample.
bool are_classes(const Values& picked, const Values& scores) {
    if (picked.shape.size() != 2 || scores.shape.size() != 2 || picked.all.empty()) return false;
    if (picked.shape[0] != scores.shape[0]) return false;
    for (std::size_t row = 0; row < picked.rows(); ++row) {
        std::set<double> seen;
        for (std::size_t place = 0; place < picked.width(); ++place) {
            const double one = picked.all[row * picked.width() + place];
            if (!(one >= 0 && one < static_cast<double>(scores.width()))) return false;
            if (!seen.insert(one).second) return false;
        }
    }
    return true;
}

std::size_t class_at(const Values& picked, const Values& scores, std::size_t row,
                     std::size_t place) {
    return row * scores.width() +
           static_cast<std::size_t>(picked.all[row * picked.width() + place]);
}

}  // namespace

double ranking_error(const Values& picked, const Values& scores) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (!are_classes(picked, scores)) return infinity;
    double greatest = 0.0;
    for (std::size_t row = 0; row < picked.rows(); ++row) {
        const auto first = scores.all.begin() + static_cast<std::ptrdiff_t>(row * scores.width());
        std::vector<double> best(first, first + static_cast<std::ptrdiff_t>(scores.width()));
        std::sort(best.begin(), best.end(), std::greater<double>());
        for (std::size_t place = 0; place < picked.width(); ++place) {
            const double gap =
                std::abs(best[place] - scores.all[class_at(picked, scores, row, place)]);
            if (!std::isfinite(gap)) return infinity;
            greatest = std::max(greatest, gap);
        }
    }
    return greatest;
}

Values with_scores(const Values& every, const Values& picked, const Values& scores) {
    if (!are_classes(picked, every) || scores.shape != picked.shape) return scores;
    Values whole = every;
    for (std::size_t row = 0; row < picked.rows(); ++row)
        for (std::size_t place = 0; place < picked.width(); ++place)
            whole.all[class_at(picked, every, row, place)] =
                scores.all[row * picked.width() + place];
    return whole;
}

}  // namespace kexport
