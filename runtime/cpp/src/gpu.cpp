#include "gpu.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <stdexcept>

#include "errors.hpp"
#include "text.hpp"

namespace kexport {

namespace {

/// CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR, and CU_STREAM_NON_BLOCKING (cuda.h).
constexpr int major_attribute = 75, minor_attribute = 76;
constexpr unsigned non_blocking = 1;

using Address = unsigned long long;  // CUdeviceptr

Address address(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

}  // namespace

/// Call a function of the driver by name; its status, or -1 where there is no such
/// function.
template <class... Arguments>
int Gpu::call(const char* name, Arguments... arguments) const {
    const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_, name));
    return function == nullptr ? -1 : function(arguments...);
}

template <class... Arguments>
void Gpu::call_or_throw(const char* name, Arguments... arguments) const {
    const int status = call(name, arguments...);
    if (status == 0) return;
    const char* reason = nullptr;
    call("cuGetErrorString", status, &reason);
    throw std::runtime_error(
        cat(name, " failed with ", status, ": ", reason == nullptr ? "unknown error" : reason));
}

Gpu::Gpu() {
    library_ = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr)
        refuse(Status::engine_missing, cat("the NVIDIA driver does not load: ", dlerror()),
               "run this on the device, where the NVIDIA driver is");
    try {
        call_or_throw("cuInit", 0U);
        call_or_throw("cuDeviceGet", &device_, 0);
        call_or_throw("cuDevicePrimaryCtxRetain", &context_, device_);
        use();
        char name[256] = "";
        int major = 0, minor = 0;
        call_or_throw("cuDeviceGetName", static_cast<char*>(name),
                      static_cast<int>(sizeof name) - 1, device_);
        call_or_throw("cuDeviceGetAttribute", &major, major_attribute, device_);
        call_or_throw("cuDeviceGetAttribute", &minor, minor_attribute, device_);
        call_or_throw("cuStreamCreate", &stream_, non_blocking);
        name_ = name;
        compute_capability_ = cat(major, ".", minor);
    } catch (const std::runtime_error& error) {
        refuse(Status::engine_missing, cat("there is no NVIDIA GPU to run on: ", error.what()),
               "run this on the device, where the NVIDIA driver is");
    }
}

Gpu::~Gpu() {
    call("cuStreamDestroy_v2", stream_);
    call("cuDevicePrimaryCtxRelease_v2", device_);
}

void Gpu::use() const {
    call_or_throw("cuCtxSetCurrent", context_);
}

void Gpu::wait() const {
    call_or_throw("cuStreamSynchronize", stream_);
}

void* Gpu::allocate(std::size_t bytes) const {
    Address memory = 0;
    call_or_throw("cuMemAlloc_v2", &memory, bytes);
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(memory));
}

void Gpu::free(void* memory) const noexcept {
    call("cuMemFree_v2", address(memory));
}

void Gpu::to_device(void* device, const void* host, std::size_t bytes) const {
    call_or_throw("cuMemcpyHtoDAsync_v2", address(device), host, bytes, stream_);
}

void Gpu::to_host(void* host, const void* device, std::size_t bytes) const {
    call_or_throw("cuMemcpyDtoHAsync_v2", host, address(device), bytes, stream_);
}

}  // namespace kexport
