#include "select_engine.hpp"

#include "errors.hpp"
#include "text.hpp"

namespace kexport {

#ifndef KEXPORT_TENSORRT
std::unique_ptr<Engine> open_tensorrt(const std::filesystem::path&, const Manifest&) {
    refuse(Status::engine_missing, "this program was built without TensorRT",
           "configure it with: cmake -D KEXPORT_TENSORRT=ON ...");
}
#endif

std::unique_ptr<Engine> open_engine(const std::filesystem::path& bundle, const Manifest& manifest,
                                    const Options& options) {
    if (options.device == Device::tensorrt) return open_tensorrt(bundle, manifest);
    std::error_code error;
    std::string passed_over;
    if (options.device == Device::bundle &&
        std::filesystem::exists(bundle / "engine.plan", error)) {
        try {
            return open_tensorrt(bundle, manifest);
        } catch (const Refusal& refusal) {
            if (refusal.fault.status != Status::engine_missing) throw;
            passed_over = cat("engine.plan does not run here, so model.onnx runs in ONNX Runtime: ",
                              refusal.fault.message);
        }
    }
    std::unique_ptr<Engine> engine = open_onnxruntime(bundle, manifest, options);
    if (engine->warning.empty()) engine->warning = passed_over;
    return engine;
}

}  // namespace kexport
