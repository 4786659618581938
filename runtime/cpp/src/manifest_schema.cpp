#include "manifest_schema.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "schema_checks.hpp"

namespace kexport {

namespace {

using namespace schema_checks;

/// A path inside the bundle: relative, with forward slashes, without `.` or `..` as a part.
bool is_inner_path(const std::string& path) {
    const auto is_part = [](std::string_view part) {
        const auto is_odd = [](char c) {
            return c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20;
        };
        return !part.empty() && part != "." && part != ".." &&
               std::none_of(part.begin(), part.end(), is_odd);
    };
    std::string_view rest = path;
    for (std::size_t slash; (slash = rest.find('/')) != rest.npos; rest.remove_prefix(slash + 1))
        if (!is_part(rest.substr(0, slash))) return false;
    return is_part(rest);
}

bool is_sha256(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

/// Return a check for an entry of `inputs` that is an image with this many channels.
Check image(int channels) {
    const Check size = or_null(integer(1));
    const Check last = object_with({{"shape", tuple_of({size, size, size, one_of({channels})})}});
    const Check second = object_with({{"shape", tuple_of({size, one_of({channels}), size, size})}});
    return all_of({
        object_with({{"dtype", one_of({"uint8", "float32"})},
                     {"layout", one_of({"NHWC", "NCHW"})},
                     {"range", tuple_of({one_of({0}), one_of({255})})}}),
        when("layout", "NHWC", last),
        when("layout", "NCHW", second),
    });
}

/// Return a check for a library and its filter.
Check resize_method() {
    return one_of({"tf-nearest", "tf-bilinear", "tf-bicubic", "tf-area", "tf-lanczos3",
                   "tf-lanczos5", "tf-bilinear-antialias", "tf-bicubic-antialias",
                   "tf-lanczos3-antialias", "tf-lanczos5-antialias", "pil-nearest", "pil-bilinear",
                   "pil-bicubic", "pil-box", "pil-hamming", "pil-lanczos", "cv2-nearest",
                   "cv2-linear", "cv2-cubic", "cv2-area"});
}

/// Return a check for the preprocessing of an image in the graph.
Check preprocessing() {
    return all_of({
        object_with({{"mode", one_of({"none", "unit", "tf", "caffe", "torch", "custom"})},
                     {"folded", boolean}}),
        when("mode", "custom",
             object_with({{"scale", list_of(number(), 1)},
                          {"mean", list_of(number(), 1)},
                          {"std", list_of(number(), 1)},
                          {"bgr", boolean}})),
        if_present("resize", one_of({"nearest", "bilinear", "bicubic", nullptr})),
        if_present("crop", one_of({"center", nullptr})),
        if_present("size", or_null(tuple_of({integer(1), integer(1)}))),
    });
}

Check input_entry(const Check& dtype) {
    return all_of({
        object_with(
            {{"name", non_empty_string},
             {"dtype", dtype},
             {"shape", list_of(or_null(integer(1)), 1)},
             {"layout", one_of({"NHWC", "NCHW", nullptr})},
             {"color", one_of({"RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV", nullptr})},
             {"range", or_null(tuple_of({number(), number()}))}}),
        if_present("resize", object_with({{"method", resize_method()},
                                          {"fit", one_of({"stretch", "crop", "pad"})}})),
        if_present("preprocessing", preprocessing()),
        when("color", "RGB", image(3)),
        when("color", "BGR", image(3)),
        when("color", "RGBA", image(4)),
        when("color", "BGRA", image(4)),
        when("color", "GRAY", image(1)),
        when("color", "NV12", image(1)),
        when("color", "YUYV", image(2)),
    });
}

Check output_entry(const Check& dtype) {
    const Check of = object_with({{"of", object_with({{"kind", one_of({"probabilities", "logits"})},
                                                      {"classes", integer(1)}})}});
    return all_of({
        object_with({{"name", non_empty_string},
                     {"dtype", dtype},
                     {"shape", list_of(or_null(integer(1)))},
                     {"kind", one_of({"probabilities", "logits", "features", "tensor", "indices",
                                      "scores"})},
                     {"layer", non_empty_string}}),
        when("kind", "indices", of),
        when("kind", "scores", of),
    });
}

Check task_entry() {
    const Check scored = object_with({{"output", non_empty_string}, {"from_logits", boolean}});
    const Check thresholded = all_of({scored, object_with({{"threshold", number(0, 1)}})});
    const Check byte = all_of({integer(0), number(0, 255)});
    const Check segment = all_of(
        {scored, object_with({{"threshold", or_null(number(0, 1))},
                              {"palette", or_null(list_of(tuple_of({byte, byte, byte}), 1))}})});
    return all_of({
        object_with({{"name", one_of({"classify", "binary", "multilabel", "segment", "detect", "regress",
                                      "embed", "image", "raw"})}}),
        when("name", "classify", scored),
        when("name", "binary", thresholded),
        when("name", "multilabel", thresholded),
        when("name", "segment", segment),
        when("name", "detect",
             object_with({{"boxes", non_empty_string},
                          {"scores", non_empty_string},
                          {"format", one_of({"xyxy", "xywh", "cxcywh", "yxyx"})},
                          {"relative", boolean},
                          {"from_logits", boolean},
                          {"threshold", number(0, 1)},
                          {"iou", number(0, 1)}})),
        when("name", "embed", object_with({{"output", non_empty_string}})),
        when("name", "image", object_with({{"output", non_empty_string},
                                           {"range", tuple_of({number(), number()})}})),
        when("name", "regress", object_with({{"outputs", list_of(non_empty_string, 1)}})),
    });
}

Check whole_manifest() {
    const Check hash = matching(is_sha256, "a SHA-256 in lower-case hexadecimal");
    const Check dtype = one_of({"bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16",
                                "int32", "int64", "float16", "float32", "float64"});
    const Check measure = object_with({{"max_abs", number(0)},
                                       {"error", number(0)},
                                       {"tolerance", number(0)},
                                       {"top1_agreement", or_null(number(0, 1))}});
    const Check step = object_with({{"name", non_empty_string},
                                    {"seconds", or_null(number(0))},
                                    {"nodes_before", integer(0)},
                                    {"nodes_after", integer(0)}});
    const Check build = object_with({{"builder", one_of({"tensorrt", "tensorrt_rtx"})},
                                     {"version", non_empty_string},
                                     {"float32_layers", list_of(string)},
                                     {"compute_capabilities", list_of(non_empty_string)}});
    const Check entries = object_with({
        {"schema", one_of({schema_number})},
        {"kexport", non_empty_string},
        {"created", or_null(non_empty_string)},
        {"model", object_with({{"name", non_empty_string},
                               {"source", non_empty_string},
                               {"sha256", hash},
                               {"weights", non_empty_string}})},
        {"target", object_with({{"name", non_empty_string},
                                {"device", non_empty_string},
                                {"precision", non_empty_string},
                                {"opset", integer(1)},
                                {"toolchain", or_null(non_empty_string)}})},
        {"inputs", list_of(input_entry(dtype), 1)},
        {"outputs", list_of(output_entry(dtype), 1)},
        {"preprocessing", preprocessing()},
        {"parity",
         object_with(
             {{"images", integer(1)}, {"passed", boolean}, {"outputs", mapping_of(measure)}})},
        {"quantization", or_null(mapping_of(anything))},
        {"steps", list_of(step)},
        {"versions", mapping_of(non_empty_string)},
        {"files", all_of({
                      mapping_of(object_with({{"sha256", hash}, {"bytes", integer(0)}}),
                                 matching(is_inner_path, "a path that stays inside the bundle")),
                      object_with({{"model.onnx", anything},
                                   {"golden.npz", anything},
                                   {"run.py", anything},
                                   {"runtime/__init__.py", anything}}),
                  })},
    });
    return all_of(
        {entries, if_present("build", or_null(build)), if_present("task", task_entry())});
}

}  // namespace

std::optional<std::string> schema_fault(const nlohmann::json& manifest) {
    try {
        whole_manifest()(manifest, "");
    } catch (SchemaViolation& violation) {
        return std::move(violation.sentence);
    }
    return std::nullopt;
}

}  // namespace kexport
