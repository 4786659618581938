#include "task.hpp"

#include <nlohmann/json.hpp>

namespace kexport {

namespace {

const OutputInfo* of_kind(const std::vector<OutputInfo>& outputs, std::string_view kind) {
    for (const OutputInfo& output : outputs)
        if (output.kind == kind) return &output;
    return nullptr;
}

TaskInfo of_scores(const std::vector<OutputInfo>& outputs) {
    const OutputInfo* best = of_kind(outputs, "scores");
    if (best != nullptr && of_kind(outputs, "indices") != nullptr)
        return {"classify", {best->name}, best->of == "logits"};
    for (const char* kind : {"probabilities", "logits"})
        for (const OutputInfo& output : outputs)
            if (output.kind == kind && output.shape.rank() == 2)
                return {"classify", {output.name}, output.kind == "logits"};
    return {"raw", {}};
}

}  // namespace

TaskInfo task_of(const nlohmann::json& manifest, const std::vector<OutputInfo>& outputs) {
    const auto found = manifest.find("task");
    if (found == manifest.end()) return of_scores(outputs);
    TaskInfo task;
    task.name = found->at("name");
    if (task.name == "regress")
        task.outputs = found->at("outputs").get<std::vector<std::string>>();
    else if (task.name == "detect")
        task.outputs = {found->at("boxes").get<std::string>(),
                        found->at("scores").get<std::string>()};
    else if (task.name != "raw")
        task.outputs = {found->at("output").get<std::string>()};
    task.from_logits = found->value("from_logits", false);
    const auto threshold = found->find("threshold");
    task.has_threshold = threshold != found->end() && threshold->is_number();
    if (task.has_threshold) task.threshold = *threshold;
    task.box_format = found->value("format", "");
    task.relative = found->value("relative", false);
    task.iou = found->value("iou", task.iou);
    if (const auto palette = found->find("palette"); palette != found->end() && palette->is_array())
        for (const auto& color : *palette)
            task.palette.push_back({color[0].get<std::uint8_t>(), color[1].get<std::uint8_t>(),
                                    color[2].get<std::uint8_t>()});
    if (task.name == "image") {
        const nlohmann::json& range = found->at("range");
        task.least = range[0];
        task.largest = range[1];
    }
    return task;
}

bool is_labelled(const TaskInfo& task) {
    return task.name == "classify" || task.name == "binary" || task.name == "multilabel";
}

}  // namespace kexport
