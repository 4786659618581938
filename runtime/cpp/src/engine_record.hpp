/// engine.json: what engine.plan was built from, by what, and for which GPU; as
/// runtime/engine_record.py.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kexport {

/// The environment that an engine runs in. `gpu` is the GPU that the engine was built on, or empty
/// if it was built without one, for all of `compute_capabilities`.
struct Environment {
    std::string module;    ///< "tensorrt" or "tensorrt_rtx"
    std::string version;   ///< such as "10.3.0"
    std::string platform;  ///< such as "Linux aarch64"
    std::string gpu;
    std::vector<std::string> compute_capabilities;
};

/// The content of engine.json that running needs; `model` and `plan` are SHA-256.
struct EngineRecord {
    std::string model, plan;
    Environment environment;
    bool version_compatible = false;
    std::string hardware_compatibility;
    std::optional<int> dla_core;
};

/// Read `<bundle>/engine.json`. Throws a Refusal if it is missing or malformed, or if engine.plan
/// is not the file that it describes.
EngineRecord read_engine_record(const std::filesystem::path& bundle);

/// Return why the engine must not run a model, given by its hash, in this environment; nothing if
/// it may.
std::optional<std::string> record_fault(const EngineRecord& record, const std::string& model,
                                        const Environment& here);

/// Return the SHA-256 over model.onnx followed by its external weights, if there are any.
std::string hash_of_model(const std::filesystem::path& bundle);

/// Return operating system and processor, such as "Linux aarch64".
std::string platform_here();

inline constexpr char build_again[] = "build it here with: python build_engine.py";

}  // namespace kexport
