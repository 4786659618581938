#include "labels.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "errors.hpp"
#include "files.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr char labels_file[] = "labels.txt";
constexpr std::uintmax_t largest_labels = 64 << 20;

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        lines.emplace_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

/// Return the number of classes that an output scores or ranks; -1 if it does neither, or the
/// number is not known.
std::int64_t classes_of(const OutputInfo& output) {
    if (output.classes > 0) return output.classes;
    const bool scores = output.kind == "probabilities" || output.kind == "logits";
    return scores && output.shape.rank() > 0 ? output.shape[output.shape.rank() - 1] : -1;
}

}  // namespace

std::vector<std::string> read_labels(const std::filesystem::path& bundle,
                                     const Manifest& manifest) {
    if (manifest.files.count(labels_file) == 0) return {};
    const std::string content = read_file(bundle / labels_file, labels_file, largest_labels);
    std::string_view text = content;
    if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
    if (!is_utf8(text)) refuse_bundle(cat(labels_file, " cannot be read: it is not UTF-8"));
    std::vector<std::string> labels = lines_of(text);
    const std::vector<std::string>& read = manifest.task.outputs;
    for (const OutputInfo& output : manifest.outputs) {
        if (std::find(read.begin(), read.end(), output.name) == read.end()) continue;
        const std::int64_t classes = classes_of(output);
        if (classes >= 0 && static_cast<std::size_t>(classes) != labels.size())
            refuse_bundle(cat(labels_file, " has ", labels.size(), " labels, but the model has ",
                              classes, " classes"),
                          "export again with the labels that the model was trained on");
    }
    return labels;
}

Prediction named(std::int64_t index, double score, const std::vector<std::string>& labels) {
    if (labels.empty()) return {index, cat("class ", index), score};
    if (index < 0 || static_cast<std::size_t>(index) >= labels.size())
        refuse_input(cat("the model names class ", index, ", and there are ", labels.size()));
    return {index, labels[static_cast<std::size_t>(index)], score};
}

std::vector<Prediction> ranked(const std::vector<double>& scores,
                               const std::vector<std::string>& labels, std::size_t count) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto better = [&scores](std::size_t a, std::size_t b) {
        if (std::isnan(scores[a]) != std::isnan(scores[b])) return std::isnan(scores[b]);
        return scores[a] > scores[b] || (!(scores[a] < scores[b]) && a < b);
    };
    const std::size_t kept = std::min(count, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                      better);
    std::vector<Prediction> best;
    for (std::size_t place = 0; place < kept; ++place)
        best.push_back(
            named(static_cast<std::int64_t>(order[place]), scores[order[place]], labels));
    return best;
}

std::vector<double> softmax(std::vector<double> logits) {
    if (logits.empty()) return logits;
    const double greatest = *std::max_element(logits.begin(), logits.end());
    for (double& value : logits) value = std::exp(value - greatest);
    const double sum = std::accumulate(logits.begin(), logits.end(), 0.0);
    for (double& value : logits) value /= sum;
    return logits;
}

}  // namespace kexport
