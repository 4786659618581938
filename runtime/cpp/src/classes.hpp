/// Labels as answers: the best classes, yes or no, or every label that applies; as
/// runtime/classes.py.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// Return 1 / (1 + exp(-x)); large numbers do not overflow.
double sigmoid(double logit);

/// Return the labels of no and yes; a single label is that of yes.
std::pair<std::string, std::string> answers_of(const std::vector<std::string>& labels);

/// Return the `count` best classes of the values for one sample, best first.
std::vector<Prediction> best_classes(std::vector<double> values, const TaskInfo& task,
                                     const std::vector<std::string>& labels, std::size_t count);

/// Return both answers of the one value, the better first, with scores that add up to 1.
std::vector<Prediction> yes_and_no(const std::vector<double>& values, const TaskInfo& task,
                                   const std::vector<std::string>& labels);

/// Return yes where the score is `threshold` or more.
Decision decide(const std::vector<double>& values, const TaskInfo& task,
                const std::vector<std::string>& labels, double threshold);

/// Return every label with its score, best first.
std::vector<Prediction> all_labels(std::vector<double> values, const TaskInfo& task,
                                   const std::vector<std::string>& labels);

/// Return the labels whose score is `threshold` or more, best first.
std::vector<Prediction> labels_above(std::vector<double> values, const TaskInfo& task,
                                     const std::vector<std::string>& labels, double threshold);

}  // namespace kexport
