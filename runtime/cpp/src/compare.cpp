#include "compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "text.hpp"
#include "top_k.hpp"

namespace kexport {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Probabilities below it count as equal. Engines compute a float32 softmax with exponentials that
/// underflow at different values near 2^-126: one returns 2e-38 where another returns 0.
constexpr double smallest = 0x1p-100;

/// Return the sum by pairwise summation, as NumPy computes it, to keep the rounding error small.
double sum_of(const double* first, std::size_t count) {
    if (count <= 128) return std::accumulate(first, first + count, 0.0);
    return sum_of(first, count / 2) + sum_of(first + count / 2, count - count / 2);
}

double deviation(const std::vector<double>& values) {
    const auto count = static_cast<double>(values.size());
    const double mean = sum_of(values.data(), values.size()) / count;
    std::vector<double> squares(values.size());
    std::transform(values.begin(), values.end(), squares.begin(),
                   [mean](double value) { return (value - mean) * (value - mean); });
    return std::sqrt(sum_of(squares.data(), squares.size()) / count);
}

/// Return the largest absolute difference; infinite if the shapes differ or a value is not finite.
double max_abs(const Values& candidate, const Values& reference) {
    if (candidate.shape != reference.shape) return infinity;
    double greatest = 0.0;
    for (std::size_t at = 0; at < reference.all.size(); ++at) {
        const double gap = std::abs(candidate.all[at] - reference.all[at]);
        if (!std::isfinite(gap)) return infinity;
        greatest = std::max(greatest, gap);
    }
    return greatest;
}

/// Return what errors of an output are measured in: its standard deviation. A constant has none:
/// then its magnitude, and 1 for zeros.
double unit_of(const std::vector<double>& values) {
    if (values.empty()) return 1.0;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    if (*least != *most) return deviation(values);
    return *least != 0.0 ? std::abs(*least) : 1.0;
}

double spread_error(double gap, const Values& reference) {
    return std::isfinite(gap) && gap != 0.0 ? gap / unit_of(reference.all) : gap;
}

/// Return the argmax of a row; as in NumPy, the first NaN counts as the largest value.
std::size_t best_of(const Values& values, std::size_t row) {
    const double* first = values.all.data() + row * values.width();
    const double* last = first + values.width();
    const double* best = std::find_if(first, last, [](double value) { return std::isnan(value); });
    if (best == last) best = std::max_element(first, last);
    return static_cast<std::size_t>(best - first);
}

double top1_agreement(const Values& candidate, const Values& reference) {
    if (candidate.shape != reference.shape || reference.rows() == 0) return 0.0;
    std::size_t same = 0;
    for (std::size_t row = 0; row < reference.rows(); ++row)
        same += best_of(candidate, row) == best_of(reference, row) ? 1 : 0;
    return static_cast<double>(same) / static_cast<double>(reference.rows());
}

Row difference(const std::string& name, const Values& candidate, const Values& reference,
               bool ranked) {
    const double gap = max_abs(candidate, reference);
    Row row{name, gap, spread_error(gap, reference), 0.0, std::nullopt};
    if (ranked) row.top1_agreement = top1_agreement(candidate, reference);
    return row;
}

/// Recover the input of a softmax, up to a constant per row, from its output: log p minus its mean
/// over the row, which is exactly 0 where all are equal. p is first clipped at `smallest`.
Values logits_of(Values values) {
    const std::size_t width = values.width();
    for (double& value : values.all)
        if (!std::isnan(value))
            value = std::log(std::max(value, smallest));
    for (std::size_t row = 0; row < values.rows(); ++row) {
        double* first = values.all.data() + row * width;
        const double start = *first;
        std::for_each(first, first + width, [start](double& value) { value -= start; });
        const double mean = sum_of(first, width) / static_cast<double>(width);
        std::for_each(first, first + width, [mean](double& value) { value -= mean; });
    }
    return values;
}

Row ranking(const std::string& name, const Values& picked, const Values& scores) {
    const double gap = ranking_error(picked, scores);
    Row row{name, gap, spread_error(gap, scores), 0.0, 0.0};
    if (!std::isfinite(gap)) return row;
    std::size_t same = 0;
    for (std::size_t at = 0; at < picked.rows(); ++at)
        same += static_cast<std::size_t>(picked.all[at * picked.width()]) == best_of(scores, at);
    row.top1_agreement = static_cast<double>(same) / static_cast<double>(picked.rows());
    return row;
}

const OutputInfo* output_of(const std::vector<OutputInfo>& outputs, std::string_view kind) {
    for (const OutputInfo& output : outputs)
        if (output.kind == kind) return &output;
    return nullptr;
}

}  // namespace

std::vector<Row> differences(const std::vector<OutputInfo>& outputs, const Arrays& given,
                             const Arrays& golden) {
    const OutputInfo* scores = output_of(outputs, "scores");
    const OutputInfo* indices = output_of(outputs, "indices");
    const bool picks = scores != nullptr && indices != nullptr;
    const bool logits_taken = std::any_of(
        outputs.begin(), outputs.end(), [](const auto& output) { return output.name == "logits"; });
    bool logits_measured = logits_taken;
    std::vector<Row> rows;
    for (const OutputInfo& output : outputs) {
        const std::string& name = output.name;
        Values candidate = values_of(given.at(name));
        const Values reference =
            values_of(golden.at(picks && &output == indices ? scores->name : name));
        std::string kind = output.kind;
        if (picks && &output == scores) {
            candidate = with_scores(reference, values_of(given.at(indices->name)), candidate);
            kind = output.of;
        }
        if (kind == "indices") {
            rows.push_back(ranking(name, candidate, reference));
            continue;
        }
        const bool ranked = (kind == "probabilities" || kind == "logits") &&
                            !reference.shape.empty() && reference.shape.back() > 1;
        rows.push_back(difference(name, candidate, reference, ranked));
        if (kind == "probabilities" && ranked) {
            const std::string inner = logits_measured ? cat(name, ".logits") : "logits";
            logits_measured = true;
            rows.push_back(
                difference(inner, logits_of(std::move(candidate)), logits_of(reference), ranked));
        }
    }
    return rows;
}

}  // namespace kexport
