#include "predict.hpp"

#include "classes.hpp"
#include "detect.hpp"
#include "embed.hpp"
#include "errors.hpp"
#include "output_image.hpp"
#include "regress.hpp"
#include "segment.hpp"
#include "text.hpp"

namespace kexport {

namespace {

void demand_use(bool given, bool used, const char* name, const char* users, const TaskInfo& task) {
    if (given && !used)
        refuse_input(
            cat(name, " is for the task ", users, ", and this bundle's is ", task.name),
            cat("leave out ", name));
}

}  // namespace

void check_settings(const Settings& settings, const TaskInfo& task) {
    if (settings.threshold && !(*settings.threshold >= 0.0 && *settings.threshold <= 1.0))
        refuse_input(cat("threshold must be from 0 to 1, not ", std::to_string(*settings.threshold)));
    demand_use(settings.top_k > 0, task.name == "classify" || task.name == "embed", "top_k",
               "classify or embed", task);
    demand_use(settings.gallery != nullptr, task.name == "embed", "gallery", "embed", task);
    demand_use(settings.threshold.has_value(),
               task.name == "binary" || task.name == "multilabel" || task.name == "segment" ||
                   task.name == "detect",
               "threshold", "binary or multilabel or segment or detect", task);
    demand_use(settings.iou.has_value(), task.name == "detect", "iou", "detect", task);
    if (settings.iou && !(*settings.iou >= 0.0 && *settings.iou <= 1.0))
        refuse_input(cat("iou must be from 0 to 1, not ", std::to_string(*settings.iou)));
    if (settings.threshold && !task.has_threshold)
        refuse_input("threshold is for masks of one channel, and this bundle's has a channel for "
                     "each class",
                     "leave out threshold");
}

Answer answer(const TaskInfo& task, const Arrays& outputs, const std::vector<std::string>& labels,
              const Settings& settings, const Placement& placement) {
    if (task.name == "regress") return numbers_of(outputs, task, labels);
    const Array& output = outputs.at(task.outputs.front());
    const std::size_t count = settings.top_k > 0 ? settings.top_k : top_k;
    if (task.name == "embed") return embedding_of(output, settings.gallery.get(), count);
    if (task.name == "image") return image_of(output, task);
    const double threshold = settings.threshold.value_or(task.threshold);
    if (task.name == "detect")
        return boxes_of(outputs, task, labels, threshold, settings.iou.value_or(task.iou), placement);
    if (task.name == "segment") return mask_of(output, task, labels, threshold, placement);
    const std::vector<double> values = first_sample(output);
    if (task.name == "binary") return decide(values, task, labels, threshold);
    return labels_above(values, task, labels, threshold);
}

}  // namespace kexport
