/// ONNX Runtime as a release of 1.11 would be: the real library's functions up to that release, and
/// none of the later ones. REAL_ONNXRUNTIME is the library.
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "src/ort_api.hpp"

namespace {

using kexport::OrtApi, kexport::OrtApiBase;

const OrtApiBase* real() {
    void* library = dlopen(std::getenv("REAL_ONNXRUNTIME"), RTLD_NOW | RTLD_LOCAL);
    return reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"))();
}

const OrtApi* get_api(std::uint32_t version) noexcept {
    static OrtApi old{};
    if (version > 11) return nullptr;
    std::memcpy(&old, real()->GetApi(11), sizeof old);
    return &old;
}

const char* get_version() noexcept {
    return "1.11.0";
}

}  // namespace

extern "C" const OrtApiBase* OrtGetApiBase() noexcept {
    static const OrtApiBase base{get_api, get_version};
    return &base;
}
