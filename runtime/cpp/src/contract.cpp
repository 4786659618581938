#include "contract.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "checks.hpp"

namespace kexport {

namespace {

using namespace checks;

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

/// An entry of `inputs` that holds images, with so many numbers along its channel axis.
Check image(int channels) {
    const Check size = or_null(whole(1));
    const Check last = record({{"shape", fixed({size, size, size, exactly({channels})})}});
    const Check second = record({{"shape", fixed({size, exactly({channels}), size, size})}});
    return all_of({
        record({{"dtype", exactly({"uint8", "float32"})},
                {"layout", exactly({"NHWC", "NCHW"})},
                {"range", fixed({exactly({0}), exactly({255})})}}),
        when("layout", "NHWC", last),
        when("layout", "NCHW", second),
    });
}

Check input_entry(const Check& dtype) {
    return all_of({
        record({{"name", text},
                {"dtype", dtype},
                {"shape", list_of(or_null(whole(1)), 1)},
                {"layout", exactly({"NHWC", "NCHW", nullptr})},
                {"color", exactly({"RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12", "YUYV", nullptr})},
                {"range", or_null(fixed({number(), number()}))}}),
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
    const Check of = record(
        {{"of", record({{"kind", exactly({"probabilities", "logits"})}, {"classes", whole(1)}})}});
    return all_of({
        record({{"name", text},
                {"dtype", dtype},
                {"shape", list_of(or_null(whole(1)))},
                {"kind",
                 exactly({"probabilities", "logits", "features", "tensor", "indices", "scores"})},
                {"layer", text}}),
        when("kind", "indices", of),
        when("kind", "scores", of),
    });
}

Check whole_manifest() {
    const Check hash = matching(is_sha256, "a SHA-256 in lower-case hexadecimal");
    const Check dtype = exactly({"bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16",
                                 "int32", "int64", "float16", "float32", "float64"});
    const Check measure = record({{"max_abs", number(0)},
                                  {"error", number(0)},
                                  {"tolerance", number(0)},
                                  {"top1_agreement", or_null(number(0, 1))}});
    const Check step = record({{"name", text},
                               {"seconds", or_null(number(0))},
                               {"nodes_before", whole(0)},
                               {"nodes_after", whole(0)}});
    const Check build = record({{"builder", exactly({"tensorrt", "tensorrt_rtx"})},
                                {"version", text},
                                {"float32_layers", list_of(string)},
                                {"compute_capabilities", list_of(text)}});
    const Check entries = record({
        {"schema", exactly({manifest_schema})},
        {"kexport", text},
        {"created", or_null(text)},
        {"model", record({{"name", text}, {"source", text}, {"sha256", hash}, {"weights", text}})},
        {"target", record({{"name", text},
                           {"device", text},
                           {"precision", text},
                           {"opset", whole(1)},
                           {"toolchain", or_null(text)}})},
        {"inputs", list_of(input_entry(dtype), 1)},
        {"outputs", list_of(output_entry(dtype), 1)},
        {"preprocessing",
         all_of({
             record({{"mode", exactly({"tf", "caffe", "torch", "none"})}, {"folded", flag}}),
             given("resize", exactly({"nearest", "bilinear", "bicubic", nullptr})),
             given("crop", exactly({"center", nullptr})),
             given("size", or_null(fixed({whole(1), whole(1)}))),
         })},
        {"parity",
         record({{"images", whole(1)}, {"passed", flag}, {"outputs", table_of(measure)}})},
        {"quantization", or_null(table_of(anything))},
        {"steps", list_of(step)},
        {"versions", table_of(text)},
        {"files", all_of({
                      table_of(record({{"sha256", hash}, {"bytes", whole(0)}}),
                               matching(is_inner_path, "a path that stays inside the bundle")),
                      record({{"model.onnx", anything},
                              {"golden.npz", anything},
                              {"run.py", anything},
                              {"runtime/__init__.py", anything}}),
                  })},
    });
    return all_of({entries, given("build", or_null(build))});
}

}  // namespace

std::optional<std::string> contract_fault(const nlohmann::json& manifest) {
    try {
        whole_manifest()(manifest, "");
    } catch (Departure& departure) {
        return std::move(departure.sentence);
    }
    return std::nullopt;
}

}  // namespace kexport
