/// What runs a model.
#pragma once

#include <memory>
#include <string>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

class Engine {
  public:
    virtual ~Engine() = default;

    /// Run the model once, into the caller's memory. The tensors fit the manifest. `inputs` are all
    /// of the manifest's, in its order; of `outputs` those that are not wanted have no data. Throws
    /// a Refusal (bad_input) where the engine gives up on them.
    virtual void run(const Input* inputs, const Output* outputs) const = 0;

    /// Run the model once, and return every output, whatever its sizes turn out to be.
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

/// ONNX Runtime, loaded when the program runs. Throws a Refusal where it is not there, or cannot
/// load the model.
std::unique_ptr<Engine> open_onnxruntime(const std::filesystem::path& bundle,
                                         const Manifest& manifest, const Options& options);

}  // namespace kexport
