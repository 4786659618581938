/// Inference engines, and which of them runs a bundle here; as runtime/select_engine.py.
#pragma once

#include <memory>
#include <string>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

/// A caller's tensors, bound to an engine; for one thread at a time.
class Binding {
  public:
    virtual ~Binding() = default;

    /// Make the next runs read and write these tensors, which match the manifest. `inputs` and
    /// `outputs` are all of the manifest's, in its order; outputs that are not wanted have no data.
    /// Throws a Refusal (bad_input) if the engine fails on them; `run` then needs another `bind`.
    virtual void bind(const Input* inputs, const Output* outputs) = 0;

    /// Run the model once, into the caller's memory. Throws as `bind` does.
    virtual void run() = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;

    /// Create a binding, one for each thread. The engine must outlive it.
    virtual std::unique_ptr<Binding> binding() const = 0;

    /// Run the model once, and return every output, also those of free sizes. `inputs` as for
    /// Binding::bind.
    virtual Arrays run(const Input* inputs) const = 0;

    std::string name;     ///< library, version and device
    std::string warning;  ///< why a preferred engine or device did not load; usually empty
};

/// Load the engine that the options name. The default is engine.plan if the bundle has one,
/// otherwise model.onnx. On a machine without TensorRT or a GPU, model.onnx replaces engine.plan,
/// with a warning. Throws a Refusal.
std::unique_ptr<Engine> open_engine(const std::filesystem::path& bundle, const Manifest& manifest,
                                    const Options& options);

/// Load engine.plan in TensorRT. The manifest must outlive the engine. Throws a Refusal if there is
/// no TensorRT or no GPU (engine_missing), or if engine.plan was built from another model or for
/// another machine.
std::unique_ptr<Engine> open_tensorrt(const std::filesystem::path& bundle,
                                      const Manifest& manifest);

/// Load model.onnx in ONNX Runtime. The manifest must outlive the engine. Throws a Refusal if ONNX
/// Runtime is not installed, or cannot load the model.
std::unique_ptr<Engine> open_onnxruntime(const std::filesystem::path& bundle,
                                         const Manifest& manifest, const Options& options);

}  // namespace kexport
