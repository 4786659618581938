/// I/O bindings, cached by the caller's tensors, for Model::run.
#pragma once

#include <memory>
#include <vector>

#include "manifest.hpp"
#include "select_engine.hpp"

namespace kexport {

/// The tensors of one call, checked and bound to the engine.
class CachedBinding {
  public:
    CachedBinding(const Manifest& manifest, const Engine& engine);

    /// Whether the bound tensors are these: the same memory, type, sizes and names.
    bool matches(const Input* inputs, std::size_t input_count, const Output* outputs,
                 std::size_t output_count) const noexcept;

    /// Check and bind other tensors. Throws a Refusal (bad_input) for tensors that do not match the
    /// manifest.
    void rebind(const Manifest& manifest, const Input* inputs, std::size_t input_count,
                const Output* outputs, std::size_t output_count);

    void run() { binding_->run(); }

  private:
    std::unique_ptr<Binding> binding_;
    bool bound_ = false;
    std::vector<Input> given_inputs_, inputs_;  // in the caller's order, and in the manifest's
    std::vector<Output> given_outputs_, outputs_;
};

/// Runs the model for one thread at a time, and caches the bindings of the last calls. Tensors in
/// the same memory again, such as a camera's few buffers, are not checked and bound anew, which
/// would be the largest cost besides the engine's own work.
class BindingCache {
  public:
    /// The manifest and the engine must outlive the cache.
    BindingCache(const Manifest& manifest, const Engine& engine);

    /// Run the model. Throws a Refusal (bad_input) for tensors that do not match the manifest.
    void run(const Input* inputs, std::size_t input_count, const Output* outputs,
             std::size_t output_count);

  private:
    static constexpr std::size_t capacity = 4;  // docs/cpp.md states it

    const Manifest* manifest_;
    std::vector<CachedBinding> bindings_;
    std::size_t oldest_ = 0;
};

}  // namespace kexport
