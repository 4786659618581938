#include "manifest.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "manifest_schema.hpp"
#include "schema_checks.hpp"
#include "task.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr std::int64_t opset_of_half_scales = 19;

using Json = nlohmann::json;

constexpr int deepest = 100;
constexpr std::uintmax_t largest_manifest = 64 << 20;

Json parsed(std::string_view text, const std::string& path) {
    const auto shallow = [&path](int depth, Json::parse_event_t, Json&) {
        if (depth > deepest)
            refuse_bundle(cat(path, " is not valid JSON: it nests more than ", deepest, " deep"),
                          export_again);
        return true;
    };
    if (!is_utf8(text))
        refuse_bundle(cat(path, " is not valid JSON: it is not UTF-8"), export_again);
    try {
        return Json::parse(text.begin(), text.end(), shallow);
    } catch (const Json::out_of_range&) {
        refuse_bundle(cat(path, " is not valid JSON: a number is too large"), export_again);
    } catch (const Json::exception& error) {
        const std::string_view said = error.what();  // starts with "[json.exception...] "
        refuse_bundle(cat(path, " is not valid JSON: ", said.substr(said.find("] ") + 2)),
                      export_again);
    }
}

std::string text_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

DType dtype_at(const Json& object) {
    const std::string name = object.at("dtype");
    auto dtype = DType::boolean;
    while (name != name_of(dtype)) dtype = static_cast<DType>(static_cast<int>(dtype) + 1);
    return dtype;  // the schema allows no other names
}

/// Return a whole number that passed the schema, perhaps written as 1.0; at most 2^53.
std::int64_t whole_at(const Json& value) {
    constexpr double most = 9007199254740992.0;
    return static_cast<std::int64_t>(std::min(value.get<double>(), most));
}

Shape shape_at(const Json& object, const std::string& path) {
    const Json& sizes = object.at("shape");
    if (sizes.size() > Shape::max_rank)
        refuse_bundle(cat(path, ": ", repr(text_at(object, "name")), " has ", sizes.size(),
                          " dimensions, and this runtime takes ", Shape::max_rank));
    std::int64_t found[Shape::max_rank];
    for (std::size_t axis = 0; axis < sizes.size(); ++axis)
        found[axis] = sizes[axis].is_null() ? -1 : whole_at(sizes[axis]);
    return {found, sizes.size()};
}

Resize resize_at(const Json& item) {
    const auto found = item.find("resize");
    if (found == item.end()) return {};
    return {text_at(*found, "method"), text_at(*found, "fit")};
}

InputInfo input_at(const Json& item, const std::string& path) {
    return {text_at(item, "name"), dtype_at(item), shape_at(item, path), text_at(item, "layout"),
            text_at(item, "color"), resize_at(item)};
}

OutputInfo output_at(const Json& item, const std::string& path) {
    OutputInfo output{text_at(item, "name"),
                      dtype_at(item),
                      shape_at(item, path),
                      text_at(item, "kind"),
                      text_at(item, "layer"),
                      "",
                      0};
    if (output.kind == "indices" || output.kind == "scores") {
        output.of = text_at(item.at("of"), "kind");
        output.classes = whole_at(item.at("of").at("classes"));
    }
    return output;
}

template <class Tensors>
void refuse_repeated(const Tensors& tensors, const std::string& path) {
    for (std::size_t at = 0; at < tensors.size(); ++at)
        for (std::size_t before = 0; before < at; ++before)
            if (tensors[at].name == tensors[before].name)
                refuse_bundle(cat(path, ": two tensors are named ", repr(tensors[at].name)),
                              export_again);
}

/// Read how the first image is placed in the frame that the model sees.
void read_frame(const Json& data, Manifest& manifest) {
    const Json& inside = data["preprocessing"];
    const auto first = std::find_if(manifest.inputs.begin(), manifest.inputs.end(),
                                    [](const InputInfo& input) { return !input.color.empty(); });
    if (first == manifest.inputs.end()) return;
    manifest.frame = image_size(*first);
    const Json& image = data["inputs"][static_cast<std::size_t>(first - manifest.inputs.begin())];
    if (inside.value("resize", Json()).is_string() && inside.value("size", Json()).is_array()) {
        manifest.frame = {whole_at(inside["size"][0]), whole_at(inside["size"][1])};
        manifest.fit = inside.value("crop", Json()).is_string() ? "crop" : "stretch";
    } else if (const Json before = image.value("resize", Json()); before.is_object()) {
        manifest.fit = text_at(before, "fit");
    }
}

void refuse_unknown(const TaskInfo& task, const std::vector<OutputInfo>& outputs,
                    const std::string& path) {
    for (const std::string& name : task.outputs) {
        const auto is_named = [&name](const OutputInfo& output) { return output.name == name; };
        if (std::none_of(outputs.begin(), outputs.end(), is_named))
            refuse_bundle(cat(path, ": the task reads ", repr(name), ", which is no output"),
                          export_again);
    }
}

}  // namespace

std::vector<std::string_view> Manifest::references() const {
    const auto first = tolerances.lower_bound(std::string(of_graph));
    if (first == tolerances.end() || first->first.rfind(of_graph, 0) != 0) return {""};
    return {"", of_graph};
}

Manifest parse_manifest(std::string_view text, const std::string& path) {
    const Json data = parsed(text, path);
    const Json schema = data.is_object() ? data.value("schema", Json(schema_number)) : Json();
    if (data.is_object() && schema != schema_number)
        refuse_bundle(cat(path, " has schema ", schema_checks::shown(schema),
                          ", but this runtime reads ", schema_number),
                      "use the cpp/ folder inside the bundle, or another version of kexport");
    if (const auto fault = schema_fault(data)) refuse_bundle(cat(path, ": ", *fault), export_again);
    Manifest manifest;
    manifest.model = data["model"]["name"];
    manifest.target = data["target"]["name"];
    manifest.device = data["target"]["device"];
    manifest.builds_engine = data.contains("build") && !data["build"].is_null();
    manifest.half_scales = manifest.builds_engine && data["target"]["precision"] == "int8" &&
                           whole_at(data["target"]["opset"]) >= opset_of_half_scales;
    manifest.is_fp32 = data["target"]["precision"] == "fp32";
    for (const Json& item : data["inputs"]) manifest.inputs.push_back(input_at(item, path));
    for (const Json& item : data["outputs"]) manifest.outputs.push_back(output_at(item, path));
    for (const auto& [name, item] : data["parity"]["outputs"].items())
        manifest.tolerances[name] = item["tolerance"];
    for (const auto& [name, item] : data["files"].items())
        manifest.files[name] = {item["sha256"],
                                static_cast<std::uint64_t>(whole_at(item["bytes"]))};
    refuse_repeated(manifest.inputs, path);
    refuse_repeated(manifest.outputs, path);
    read_frame(data, manifest);
    manifest.task = task_of(data, manifest.outputs);
    refuse_unknown(manifest.task, manifest.outputs, path);
    return manifest;
}

Manifest read_manifest(const std::filesystem::path& bundle) {
    std::error_code error;
    if (!std::filesystem::is_directory(bundle, error))
        refuse_bundle(cat(bundle.native(), " is not a folder"),
                      "give the folder that holds manifest.json");
    const std::filesystem::path path = bundle / "manifest.json";
    if (!std::filesystem::exists(path, error))
        refuse_bundle(cat(bundle.native(), " has no manifest.json, so it is not a bundle"),
                      "give the folder that kexport wrote");
    return parse_manifest(read_file(path, path.native(), largest_manifest), path.native());
}

Size image_size(const InputInfo& input) {
    const std::size_t first = input.layout == "NCHW" ? 2 : 1;
    Size size{input.shape[first], input.shape[first + 1]};
    if (input.color == "NV12" && size.height > 0) size.height = size.height * 2 / 3;
    return size;
}

}  // namespace kexport
