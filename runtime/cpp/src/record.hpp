/// engine.json: what engine.plan was built from, by what, and for which GPU; as runtime/engine_record.py.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kexport {

/// Where an engine runs. `gpu` is empty where it was built without one, for all of
/// `compute_capabilities`.
struct Place {
    std::string module;    ///< "tensorrt" or "tensorrt_rtx"
    std::string version;   ///< such as "10.3.0"
    std::string platform;  ///< such as "Linux aarch64"
    std::string gpu;
    std::vector<std::string> compute_capabilities;
};

/// The content of engine.json that running needs; `model` and `plan` are SHA-256.
struct Record {
    std::string model, plan;
    Place place;
    bool version_compatible = false;
    std::string hardware_compatibility;
    std::optional<int> dla_core;
};

/// Read `<bundle>/engine.json`. Throws a Refusal where it cannot be read, is none, or engine.plan
/// is not the file that it speaks of.
Record read_record(const std::filesystem::path& bundle);

/// Why the engine must not run a model with this hash at this place, if it must not.
std::optional<std::string> record_fault(const Record& record, const std::string& model,
                                        const Place& here);

/// SHA-256 over model.onnx and, where they lie beside it, its weights.
std::string hash_of_model(const std::filesystem::path& bundle);

/// Operating system and processor, such as "Linux aarch64".
std::string platform_here();

inline constexpr char build_again[] = "build it here with: python build_engine.py";

}  // namespace kexport
