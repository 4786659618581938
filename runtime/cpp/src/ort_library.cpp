#include "ort_library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "errors.hpp"
#include "text.hpp"

namespace kexport {

namespace fs = std::filesystem;

namespace {

constexpr char variable[] = "KEXPORT_ONNXRUNTIME";
constexpr char hint[] =
    "run: pip install onnxruntime, or name the library with KEXPORT_ONNXRUNTIME or --onnxruntime";

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// Return the sorted entries of a folder that begin with `start`; none if it cannot be read.
std::vector<fs::path> entries(const fs::path& folder, const std::string& start) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error))
        if (entry->path().filename().native().rfind(start, 0) == 0) found.push_back(entry->path());
    std::sort(found.begin(), found.end());
    return found;
}

/// Return the libraries in Python's onnxruntime packages.
std::vector<fs::path> of_python() {
    std::vector<fs::path> roots{"/usr/local/lib", "/usr/lib"};
    if (const std::string home = environment("HOME"); !home.empty())
        roots.insert(roots.begin(), fs::path(home) / ".local/lib");
    for (const char* name : {"CONDA_PREFIX", "VIRTUAL_ENV"})
        if (const std::string prefix = environment(name); !prefix.empty())
            roots.insert(roots.begin(), fs::path(prefix) / "lib");
    std::vector<fs::path> libraries;
    for (const fs::path& root : roots)
        for (const fs::path& python : entries(root, "python3"))
            for (const char* packages : {"site-packages", "dist-packages"})
                for (const fs::path& library :
                     entries(python / packages / "onnxruntime/capi", "libonnxruntime.so"))
                    libraries.push_back(library);
    return libraries;
}

std::string last_error() {
    const char* error = dlerror();
    return error == nullptr ? "it is not a library" : error;
}

void* opened(const std::string& file) {
    return dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
}

void* opened_at(const std::string& place) {
    std::error_code error;
    std::string file = place;
    if (fs::is_directory(place, error)) {
        const std::vector<fs::path> libraries = entries(place, "libonnxruntime.so");
        if (libraries.empty())
            refuse(Status::engine_missing, cat("there is no libonnxruntime.so in ", place), hint);
        file = libraries.front().native();
    }
    if (void* library = opened(file)) return library;
    refuse(Status::engine_missing, cat(file, " cannot be loaded: ", last_error()), hint);
}

void* found() {
    for (const char* name : {"libonnxruntime.so.1", "libonnxruntime.so"})
        if (void* library = opened(name)) return library;
    for (const fs::path& path : of_python())
        if (void* library = opened(path.native())) return library;
    refuse(Status::engine_missing, "onnxruntime is needed to run this bundle, but was not found",
           hint);
}

}  // namespace

OrtLibrary load_ort(const std::string& location) {
    const std::string path = location.empty() ? environment(variable) : location;
    void* library = path.empty() ? found() : opened_at(path);
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (base == nullptr)
        refuse(Status::engine_missing, cat("the library is not ONNX Runtime: ", last_error()),
               hint);
    OrtLibrary loaded{base()->GetApi(oldest_ort_api), base()->GetVersionString()};
    if (loaded.api == nullptr)
        refuse(Status::engine_missing,
               cat("onnxruntime ", loaded.version, " is older than 1.", oldest_ort_api),
               "run: pip install --upgrade onnxruntime");
    return loaded;
}

std::string ort_failure(const OrtApi* api, OrtStatus* status) {
    if (status == nullptr) return {};
    const OrtHandle<OrtStatus> held(status, {api});
    const std::string text = api->GetErrorMessage(status);
    const std::size_t start = text.find_first_not_of(" \n");
    return start == text.npos ? "it gives no reason"
                              : text.substr(start, text.find('\n', start) - start);
}

void ort_check(const OrtApi* api, OrtStatus* status) {
    if (status != nullptr) throw std::runtime_error(ort_failure(api, status));
}

}  // namespace kexport
