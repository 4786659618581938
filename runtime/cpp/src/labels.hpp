/// Class names: read labels.txt, and pair the best scores with it; as runtime/labels.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace kexport {

/// Read `<bundle>/labels.txt`: UTF-8, one label a line, line k (from 0) for class k. Empty where
/// the manifest lists no such file. Throws a Refusal where the file cannot be read or has another
/// number of labels than the model has classes.
std::vector<std::string> read_labels(const std::filesystem::path& bundle, const Manifest& manifest);

/// The `count` best scores (or all, if fewer), best first. Equal scores keep the order of their
/// indices, and what is no number comes last.
std::vector<Prediction> ranked(const std::vector<double>& scores,
                               const std::vector<std::string>& labels, std::size_t count);

/// One class by its number. Throws a Refusal where there is no such label.
Prediction named(std::int64_t index, double score, const std::vector<std::string>& labels);

/// exp(x) / sum(exp(x)); large logits do not overflow.
std::vector<double> softmax(std::vector<double> logits);

}  // namespace kexport
