#include "classes.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "errors.hpp"
#include "labels.hpp"
#include "text.hpp"

namespace kexport {

namespace {

std::vector<double> scores_of(std::vector<double> values, const TaskInfo& task) {
    if (task.from_logits)
        for (double& value : values) value = sigmoid(value);
    return values;
}

double score_of(const std::vector<double>& values, const TaskInfo& task) {
    if (values.size() != 1)
        refuse_input(cat("the model returns ", values.size(), " numbers, and binary needs one"));
    return task.from_logits ? sigmoid(values[0]) : values[0];
}

}  // namespace

double sigmoid(double logit) {
    const double power = std::exp(-std::abs(logit));
    return (logit >= 0 ? 1.0 : power) / (1.0 + power);
}

std::pair<std::string, std::string> answers_of(const std::vector<std::string>& labels) {
    if (labels.empty()) return {"no", "yes"};
    if (labels.size() == 1) return {cat("not ", labels[0]), labels[0]};
    return {labels[0], labels[1]};
}

std::vector<Prediction> best_classes(std::vector<double> values, const TaskInfo& task,
                                     const std::vector<std::string>& labels, std::size_t count) {
    return ranked(task.from_logits ? softmax(std::move(values)) : values, labels, count);
}

std::vector<Prediction> yes_and_no(const std::vector<double>& values, const TaskInfo& task,
                                   const std::vector<std::string>& labels) {
    const double score = score_of(values, task);
    const auto [no, yes] = answers_of(labels);
    std::vector<Prediction> found{{1, yes, score}, {0, no, 1.0 - score}};
    if (!(score >= 0.5)) std::swap(found[0], found[1]);
    return found;
}

Decision decide(const std::vector<double>& values, const TaskInfo& task,
                const std::vector<std::string>& labels, double threshold) {
    const double score = score_of(values, task);
    const bool positive = score >= threshold;
    const auto [no, yes] = answers_of(labels);
    return {positive ? yes : no, positive, score, threshold};
}

std::vector<Prediction> all_labels(std::vector<double> values, const TaskInfo& task,
                                   const std::vector<std::string>& labels) {
    const std::size_t count = values.size();
    return ranked(scores_of(std::move(values), task), labels, count);
}

std::vector<Prediction> labels_above(std::vector<double> values, const TaskInfo& task,
                                     const std::vector<std::string>& labels, double threshold) {
    std::vector<Prediction> found = all_labels(std::move(values), task, labels);
    const auto below = [&](const Prediction& one) { return !(one.score >= threshold); };
    found.erase(std::remove_if(found.begin(), found.end(), below), found.end());
    return found;
}

}  // namespace kexport
