/// Read a bundle's manifest.json; as runtime/manifest.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../kexport.hpp"

namespace kexport {

/// What stands before an output's name where golden.npz has what the quantised graph gives, and
/// before the names of what is measured against that.
inline constexpr std::string_view of_graph = "graph:";

/// What a file of the bundle must be.
struct FileEntry {
    std::string sha256;  ///< lower-case hexadecimal
    std::uint64_t bytes = 0;
};

/// The parts of manifest.json that running needs. `tolerances` maps each measured quantity to the
/// largest error that parity allowed, `files` each path (relative, forward slashes) to its entry.
struct Manifest {
    std::string model, target, device;
    bool builds_engine = false;  ///< what counts on the device is an engine built of model.onnx
    bool half_scales = false;    ///< INT8 with scales of float16, for TensorRT
    std::vector<InputInfo> inputs;
    std::vector<OutputInfo> outputs;
    std::map<std::string, double> tolerances;
    std::map<std::string, FileEntry> files;

    /// What stands before the names of the answers that outputs are held to: nothing for Keras',
    /// and `of_graph` where those of the quantised graph are there too.
    std::vector<std::string_view> references() const;
};

/// Read and check `<bundle>/manifest.json`; the other files are not looked at. Throws a Refusal
/// where there is no bundle, where the file is not JSON, has another schema number, or departs from
/// the contract: the first fault is named.
Manifest read_manifest(const std::filesystem::path& bundle);

/// The same for a text; `path` is what faults call it.
Manifest parse_manifest(std::string_view text, const std::string& path);

/// Height and width of the images that an input takes, -1 where free.
struct Size {
    std::int64_t height = -1, width = -1;
};
Size image_size(const InputInfo& input);

}  // namespace kexport
