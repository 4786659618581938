/// What runs a model.
#pragma once

#include <memory>
#include <string>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// A caller's tensors, made ready for an engine; for one thread at a time.
class Binding {
  public:
    virtual ~Binding() = default;

    /// Make the next runs read and write these tensors, which fit the manifest. `inputs` are all of
    /// the manifest's, in its order; of `outputs` those that are not wanted have no data. Throws a
    /// Refusal (bad_input) where the engine gives up on them; `run` must wait for a later `bind`.
    virtual void bind(const Input* inputs, const Output* outputs) = 0;

    /// Run the model once, into the caller's memory. Throws as `bind` does.
    virtual void run() = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;

    /// A binding of its own for each thread. The engine must outlive it.
    virtual std::unique_ptr<Binding> binding() const = 0;

    /// Run the model once, and return every output, whatever its sizes turn out to be. `inputs` as
    /// for Binding::bind.
    virtual Arrays run(const Input* inputs) const = 0;

    std::string name;     ///< what it is: library, version, device
    std::string warning;  ///< what did not load as wished; usually empty
};

/// The engine that the options name. By default engine.plan where it has been built, and model.onnx
/// elsewhere; where engine.plan lies on a machine without TensorRT or a GPU, model.onnx stands for
/// it, with a warning. Throws a Refusal.
std::unique_ptr<Engine> open_engine(const std::filesystem::path& bundle, const Manifest& manifest,
                                    const Options& options);

/// engine.plan in TensorRT. The manifest must outlive it. Throws a Refusal where there is no
/// TensorRT or no GPU (engine_missing), or where the engine does not belong to the model or to this
/// machine.
std::unique_ptr<Engine> open_tensorrt(const std::filesystem::path& bundle,
                                      const Manifest& manifest);

/// ONNX Runtime, loaded when the program runs. The manifest must outlive it. Throws a Refusal where
/// it is not there, or cannot load the model.
std::unique_ptr<Engine> open_onnxruntime(const std::filesystem::path& bundle,
                                         const Manifest& manifest, const Options& options);

}  // namespace kexport
