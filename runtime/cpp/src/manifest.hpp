/// Manifest reader: parse and validate a bundle's manifest.json; as runtime/manifest.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// Prefix of names that refer to the quantised graph: its outputs in golden.npz, and the quantities
/// that are measured against them.
inline constexpr std::string_view of_graph = "graph:";

/// The expected hash and size of a file of the bundle.
struct FileEntry {
    std::string sha256;  ///< lower-case hexadecimal
    std::uint64_t bytes = 0;
};

/// Height and width of an input's images, -1 if free.
struct Size {
    std::int64_t height = -1, width = -1;
};

/// The parts of manifest.json that running needs. `tolerances` maps each measured quantity to the
/// largest error that parity allowed, `files` each path (relative, forward slashes) to its entry.
struct Manifest {
    std::string model, target, device;
    bool builds_engine = false;  ///< whether the device runs an engine built from model.onnx
    bool half_scales = false;    ///< whether the model is INT8 with float16 scales for TensorRT
    bool is_fp32 = false;        ///< whether the whole model computes in float32
    std::vector<InputInfo> inputs;
    std::vector<OutputInfo> outputs;
    TaskInfo task;
    Size frame;                   ///< what an image is resized to, before the graph or in it
    std::string fit = "stretch";  ///< what happens to another aspect ratio: also "crop", "pad"
    std::map<std::string, double> tolerances;
    std::map<std::string, FileEntry> files;

    /// Return the name prefixes of the reference outputs in golden.npz: empty for Keras, and
    /// `of_graph` for the quantised graph, if that is recorded.
    std::vector<std::string_view> references() const;
};

/// Read and validate `<bundle>/manifest.json`, without the other files. Throws a Refusal if there
/// is no bundle, or if the file is not JSON, has another schema number, or violates the schema: the
/// first fault is named.
Manifest read_manifest(const std::filesystem::path& bundle);

/// Do the same for the file's content; messages name it by `path`.
Manifest parse_manifest(std::string_view text, const std::string& path);

/// Return the size of an input's images.
Size image_size(const InputInfo& input);

}  // namespace kexport
