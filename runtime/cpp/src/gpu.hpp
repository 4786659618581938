/// GPU access through CUDA's driver library, which every machine with an NVIDIA driver has; as
/// runtime/gpu.py. The library is loaded at run time.
#pragma once

#include <cstddef>
#include <string>

namespace kexport {

/// The first GPU, with one stream.
class Gpu {
  public:
    /// Throws a Refusal (engine_missing) if there is no driver or no GPU.
    Gpu();
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;
    ~Gpu();

    const std::string& name() const noexcept { return name_; }
    const std::string& compute_capability() const noexcept { return compute_capability_; }
    void* stream() const noexcept { return stream_; }

    // All of these throw std::runtime_error if a call of the driver fails.
    void use() const;   ///< make the GPU current for the calling thread
    void wait() const;  ///< wait until all work queued on the stream is done
    void* allocate(std::size_t bytes) const;
    void free(void* memory) const noexcept;
    void to_device(void* device, const void* host, std::size_t bytes) const;  ///< queue a copy
    void to_host(void* host, const void* device, std::size_t bytes) const;    ///< queue a copy

  private:
    template <class... Arguments>
    int call(const char* name, Arguments... arguments) const;
    template <class... Arguments>
    void call_or_throw(const char* name, Arguments... arguments) const;

    void* library_ = nullptr;
    int device_ = 0;
    void* context_ = nullptr;
    void* stream_ = nullptr;
    std::string name_, compute_capability_;
};

}  // namespace kexport
