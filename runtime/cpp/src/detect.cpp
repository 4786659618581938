#include "detect.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "classes.hpp"
#include "errors.hpp"
#include "text.hpp"

namespace kexport {

namespace {

using Edges = std::array<double, 4>;  // left, top, right, bottom

/// A box that the model gives: its edges in the frame, its class, and the score of that.
struct Found {
    Edges edges;
    std::size_t index;
    double score;
};

double area(const Edges& box) {
    return std::max(box[2] - box[0], 0.0) * std::max(box[3] - box[1], 0.0);
}

double overlap(const Edges& a, const Edges& b) {
    const double width = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.0);
    const double height = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.0);
    const double both = area(a) + area(b) - width * height;
    return both > 0.0 ? width * height / both : 0.0;
}

Edges edges_of(const double* box, const TaskInfo& task, double width, double height) {
    Edges edges{box[0], box[1], box[2], box[3]};
    if (task.box_format == "yxyx") edges = {box[1], box[0], box[3], box[2]};
    if (task.box_format == "xywh") edges = {box[0], box[1], box[0] + box[2], box[1] + box[3]};
    if (task.box_format == "cxcywh")
        edges = {box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2};
    if (task.relative)
        for (std::size_t at = 0; at < 4; ++at) edges[at] *= at % 2 == 0 ? width : height;
    return edges;
}

/// Return the last size of an output, of one box for each sample or of several.
std::size_t width_of(const Array& output) {
    const std::size_t rank = output.shape.size();
    if (rank < 2 || rank > 3 || output.shape.back() < 1)
        refuse_input("the model returns no boxes [N, boxes, 4] and scores [N, boxes, classes]");
    return static_cast<std::size_t>(output.shape.back());
}

std::vector<Found> all_boxes(const Arrays& outputs, const TaskInfo& task, double width,
                             double height) {
    const Array& first = outputs.at(task.outputs[0]);
    const Array& second = outputs.at(task.outputs[1]);
    const bool together = task.outputs[0] == task.outputs[1];
    const std::size_t box_step = width_of(first), score_step = width_of(second);
    const std::size_t skipped = together ? 4 : 0;
    const std::vector<double> boxes = first_sample(first), scores = first_sample(second);
    const std::size_t count = boxes.size() / box_step;
    if (box_step < 4 || score_step <= skipped || scores.size() != count * score_step)
        refuse_input("the model returns no scores for each of its boxes");
    std::vector<Found> found;
    for (std::size_t at = 0; at < count; ++at) {
        const double* of = scores.data() + at * score_step + skipped;
        const auto classes = static_cast<std::ptrdiff_t>(score_step - skipped);
        const auto index = static_cast<std::size_t>(std::max_element(of, of + classes) - of);
        found.push_back({edges_of(boxes.data() + at * box_step, task, width, height), index,
                         task.from_logits ? sigmoid(of[index]) : of[index]});
    }
    return found;
}

/// Return the boxes that are kept, best first; of equal scores the first comes first.
std::vector<Found> suppressed(std::vector<Found> boxes, double threshold, double iou) {
    const auto below = [&](const Found& box) { return !(box.score >= threshold); };
    boxes.erase(std::remove_if(boxes.begin(), boxes.end(), below), boxes.end());
    std::stable_sort(boxes.begin(), boxes.end(),
                     [](const Found& a, const Found& b) { return a.score > b.score; });
    std::vector<Found> kept;
    for (const Found& box : boxes) {
        const auto same = [&](const Found& one) {
            return one.index == box.index && !(overlap(one.edges, box.edges) <= iou);
        };
        if (std::none_of(kept.begin(), kept.end(), same)) kept.push_back(box);
    }
    return kept;
}

}  // namespace

std::vector<Box> boxes_of(const Arrays& outputs, const TaskInfo& task,
                          const std::vector<std::string>& labels, double threshold, double iou,
                          const Placement& placement) {
    const auto width = static_cast<double>(placement.columns.frame);
    const auto height = static_cast<double>(placement.rows.frame);
    std::vector<Box> boxes;
    for (const Found& one : suppressed(all_boxes(outputs, task, width, height), threshold, iou)) {
        const Box box{static_cast<std::int64_t>(one.index),
                      one.index < labels.size() ? labels[one.index] : cat("class ", one.index),
                      one.score,
                      placement.columns.own_place(one.edges[0]),
                      placement.rows.own_place(one.edges[1]),
                      placement.columns.own_place(one.edges[2]),
                      placement.rows.own_place(one.edges[3])};
        if (box.right > box.left && box.bottom > box.top) boxes.push_back(box);
    }
    return boxes;
}

}  // namespace kexport
