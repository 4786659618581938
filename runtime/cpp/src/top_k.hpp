/// Comparing a model's top-K classes with the scores that Keras gives all classes; as
/// runtime/top_k.py.
#pragma once

#include "array.hpp"

namespace kexport {

/// Return the ranking error of K classes, [N, K], by the `scores` of all, [N, classes]: the largest
/// difference between the score of the class at a rank and the score that belongs at that rank.
/// Infinite for an index that is repeated or is not a class.
double ranking_error(const Values& picked, const Values& scores);

/// Return a copy of the scores of all classes, `every`, in which the picked classes have the scores
/// [N, K] that the model gave them. Where these do not fit, the scores are returned as they are.
Values with_scores(const Values& every, const Values& picked, const Values& scores);

}  // namespace kexport
