/// What Model::run does with a caller's tensors.
#pragma once

#include <memory>
#include <vector>

#include "engine.hpp"
#include "manifest.hpp"

namespace kexport {

/// Tensors that were asked for together, checked and bound.
class Request {
  public:
    Request(const Manifest& manifest, const Engine& engine);

    /// Whether these are the very tensors: the same memory, type, sizes and names.
    bool is(const Input* inputs, std::size_t input_count, const Output* outputs,
            std::size_t output_count) const noexcept;

    /// Check and bind other tensors. Throws a Refusal (bad_input) for those that do not fit.
    void become(const Manifest& manifest, const Input* inputs, std::size_t input_count,
                const Output* outputs, std::size_t output_count);

    void run() { binding_->run(); }

  private:
    std::unique_ptr<Binding> binding_;
    bool bound_ = false;
    std::vector<Input> asked_inputs_, inputs_;  // as given, and in the manifest's order
    std::vector<Output> asked_outputs_, outputs_;
};

/// Runs the model for one thread at a time, and remembers what it was asked for: tensors in the
/// same memory again, as those of a camera with a few buffers, are not checked and bound anew,
/// which would cost more than all else that is done beside the engine's own work.
class Call {
  public:
    /// Both must outlive it.
    Call(const Manifest& manifest, const Engine& engine);

    /// Throws a Refusal (bad_input) for tensors that do not fit.
    void run(const Input* inputs, std::size_t input_count, const Output* outputs,
             std::size_t output_count);

  private:
    static constexpr std::size_t remembered = 4;

    const Manifest* manifest_;
    std::vector<Request> requests_;
    std::size_t oldest_ = 0;
};

}  // namespace kexport
