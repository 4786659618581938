#include "engine_record.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "file_hashes.hpp"
#include "files.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr std::uintmax_t largest_record = 1 << 20;

/// Return the first three numbers of a version; only some spellings have the build as a fourth.
std::vector<int> numbers(const std::string& version) {
    std::vector<int> found;
    const char* at = version.c_str();
    while (found.size() < 3 && *at >= '0' && *at <= '9') {
        char* end = nullptr;
        found.push_back(static_cast<int>(std::strtol(at, &end, 10)));
        at = *end == '.' ? end + 1 : end;
    }
    found.resize(3);
    return found;
}

/// Whether the engine may run on this release: a version-compatible engine runs on later releases
/// of its major version and of the next.
bool serves(const EngineRecord& record, const std::string& version) {
    const std::vector<int> mine = numbers(record.environment.version), other = numbers(version);
    if (mine == other) return true;
    const bool next = (mine[0] == 8 && other[0] == 10) || (mine[0] == 10 && other[0] == 11);
    return record.version_compatible && other >= mine && (mine[0] == other[0] || next);
}

bool runs_on(const EngineRecord& record, const Environment& here) {
    const Environment& mine = record.environment;
    const std::string& capability = here.compute_capabilities.front();
    const auto& all = mine.compute_capabilities;
    const bool same = std::find(all.begin(), all.end(), capability) != all.end();
    if (mine.gpu.empty()) return same;
    if (record.hardware_compatibility == "ampere_plus")
        return numbers(capability) >= numbers("8.0");
    return same &&
           (record.hardware_compatibility == "same_compute_capability" || here.gpu == mine.gpu);
}

EngineRecord parsed_record(const nlohmann::json& data) {
    const nlohmann::json &place = data.at("place"), &flags = data.at("flags");
    EngineRecord record;
    record.model = data.at("model");
    record.plan = data.at("plan");
    record.environment.module = place.at("module");
    record.environment.version = place.at("version");
    record.environment.platform = place.at("platform");
    if (!place.at("gpu").is_null()) record.environment.gpu = place.at("gpu");
    for (const nlohmann::json& entry : place.at("compute_capabilities"))
        record.environment.compute_capabilities.push_back(entry);
    record.version_compatible = flags.value("version_compatible", false);
    record.hardware_compatibility = flags.value("hardware_compatibility", "none");
    if (flags.contains("dla_core") && !flags["dla_core"].is_null())
        record.dla_core = flags["dla_core"].get<int>();
    return record;
}

}  // namespace

EngineRecord read_engine_record(const std::filesystem::path& bundle) {
    const std::string path = bundle / "engine.json";
    EngineRecord record;
    try {
        record = parsed_record(nlohmann::json::parse(read_file(path, path, largest_record)));
    } catch (const nlohmann::json::exception& error) {
        refuse_bundle(cat(path, " is not one that kexport wrote: ", error.what()), build_again);
    }
    const std::string plan = bundle / "engine.plan";
    if (sha256_of({plan}) != record.plan)
        refuse_bundle(cat(plan, " is not the engine that engine.json describes"), build_again);
    return record;
}

std::optional<std::string> record_fault(const EngineRecord& record, const std::string& model,
                                        const Environment& here) {
    const Environment& mine = record.environment;
    if (model != record.model) return "model.onnx is not the one that it was built from";
    if (here.module != mine.module || (!mine.gpu.empty() && here.platform != mine.platform))
        return cat("it is for ", mine.module, " on ", mine.platform);
    if (!serves(record, here.version))
        return cat("it is for ", mine.module, " ", mine.version, ", and this is ", here.version);
    if (runs_on(record, here)) return std::nullopt;
    std::string made = mine.gpu;
    for (const std::string& capability : mine.compute_capabilities)
        if (mine.gpu.empty()) made += cat(made.empty() ? "compute capability " : ", ", capability);
    return cat("it is for ", made, ", and this is ", here.gpu);
}

std::string hash_of_model(const std::filesystem::path& bundle) {
    std::error_code error;
    if (std::filesystem::exists(bundle / "model.onnx.data", error))
        return sha256_of({bundle / "model.onnx", bundle / "model.onnx.data"});
    return sha256_of({bundle / "model.onnx"});
}

std::string platform_here() {
    utsname system{};
    uname(&system);
    return cat(system.sysname, " ", system.machine);
}

}  // namespace kexport
