/// ONNX Runtime's C API, from a library that is loaded at run time.
///
/// The library is not linked: each release of libonnxruntime exports its symbols under its own
/// version (VERS_x.y.z), so a program linked against one release does not start with another.
#pragma once

#include <memory>
#include <string>

#include "ort_api.hpp"

namespace kexport {

struct OrtLibrary {
    const OrtApi* api = nullptr;
    std::string version;  ///< such as "1.31.1"
};

/// Load the library from a file or folder; if `location` is empty, from the environment variable
/// KEXPORT_ONNXRUNTIME, the dynamic linker's path, or Python's packages. It stays loaded until the
/// program ends. Throws a Refusal (engine_missing).
OrtLibrary load_ort(const std::string& location);

/// Releases ONNX Runtime's objects.
struct OrtRelease {
    const OrtApi* api = nullptr;

    void operator()(OrtEnv* held) const { api->ReleaseEnv(held); }
    void operator()(OrtSession* held) const { api->ReleaseSession(held); }
    void operator()(OrtSessionOptions* held) const { api->ReleaseSessionOptions(held); }
    void operator()(OrtMemoryInfo* held) const { api->ReleaseMemoryInfo(held); }
    void operator()(OrtValue* held) const { api->ReleaseValue(held); }
    void operator()(OrtTypeInfo* held) const { api->ReleaseTypeInfo(held); }
    void operator()(OrtStatus* held) const { api->ReleaseStatus(held); }
    void operator()(OrtCUDAProviderOptionsV2* held) const { api->ReleaseCUDAProviderOptions(held); }
    void operator()(OrtTensorTypeAndShapeInfo* held) const {
        api->ReleaseTensorTypeAndShapeInfo(held);
    }
};

template <class Held>
using OrtHandle = std::unique_ptr<Held, OrtRelease>;

/// Return the first line of ONNX Runtime's message for a failure; empty if there was none.
std::string ort_failure(const OrtApi* api, OrtStatus* status);

/// Throw std::runtime_error if a call failed.
void ort_check(const OrtApi* api, OrtStatus* status);

}  // namespace kexport
