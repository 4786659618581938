/// Class labels: read labels.txt, and pair the best scores with it; as runtime/labels.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace kexport {

/// Read `<bundle>/labels.txt`: UTF-8, one label a line, line k (from 0) for class k. Empty if the
/// manifest lists no such file. Throws a Refusal if the file cannot be read, or the number of
/// labels is not the model's number of classes.
std::vector<std::string> read_labels(const std::filesystem::path& bundle, const Manifest& manifest);

/// Return the `count` best classes of a vector of scores (or all, if fewer), best first. Equal
/// scores keep the order of their indices, and NaN comes last.
std::vector<Prediction> ranked(const std::vector<double>& scores,
                               const std::vector<std::string>& labels, std::size_t count);

/// Return the prediction for one class. Throws a Refusal if there is no label for it.
Prediction named(std::int64_t index, double score, const std::vector<std::string>& labels);

/// Return exp(x) / sum(exp(x)); large logits do not overflow.
std::vector<double> softmax(std::vector<double> logits);

}  // namespace kexport
