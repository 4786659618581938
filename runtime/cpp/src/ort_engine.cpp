/// ONNX Runtime engine: runs a bundle's model.onnx; as runtime/ort_engine.py.
#include <stdexcept>

#include "errors.hpp"
#include "ort_binding.hpp"
#include "ort_tensors.hpp"
#include "select_engine.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr char model_file[] = "model.onnx";

class OrtEngine : public Engine {
  public:
    OrtEngine(const std::filesystem::path& bundle, const Manifest& manifest,
              const Options& options);

    std::unique_ptr<Binding> binding() const override {
        return std::make_unique<OrtBinding>(model_);
    }
    Arrays run(const Input* inputs) const override;

  private:
    template <class Held, class Create>
    OrtHandle<Held> made(const Create& create) const {
        Held* held = nullptr;
        check(create(&held));
        return OrtHandle<Held>(held, {api_});
    }
    void check(OrtStatus* status) const { ort_check(api_, status); }
    void load(const std::string& path, const Manifest& manifest, int threads, bool cuda);
    std::string add_cuda(OrtSessionOptions* options, bool is_fp32) const;

    OrtLibrary library_;
    const OrtApi* api_;
    OrtHandle<OrtEnv> env_;
    OrtModel model_;
};

OrtEngine::OrtEngine(const std::filesystem::path& bundle, const Manifest& manifest,
                     const Options& options)
    : library_(load_ort(options.onnxruntime)), api_(library_.api) {
    env_ = made<OrtEnv>(
        [&](OrtEnv** env) { return api_->CreateEnv(ort_logs_errors, "kexport", env); });
    check(api_->DisableTelemetryEvents(env_.get()));
    model_.api = api_;
    model_.memory = made<OrtMemoryInfo>([&](OrtMemoryInfo** memory) {
        return api_->CreateCpuMemoryInfo(ort_arena_allocator, ort_default_memory, memory);
    });
    const bool cuda = options.device == Device::cuda ||
                      (options.device == Device::bundle && manifest.device == "cuda");
    const std::string path = bundle / model_file;
    try {
        load(path, manifest, options.threads, cuda);
    } catch (const std::runtime_error& error) {
        refuse_bundle(
            cat("onnxruntime ", library_.version, " cannot load ", path, ": ", error.what()),
            "copy the bundle again whole, or upgrade onnxruntime");
    }
    if (cuda && !warning.empty())
        warning = cat("CUDAExecutionProvider did not load, so ", manifest.model,
                      " runs on CPUExecutionProvider; install onnxruntime-gpu and the CUDA and "
                      "cuDNN that it needs (",
                      warning, ")");
    name = cat("onnxruntime ", library_.version, ", ",
               cuda && warning.empty() ? "CUDAExecutionProvider" : "CPUExecutionProvider");
    check_tensors(api_, model_.session.get(), manifest);
    for (const InputInfo& input : manifest.inputs) model_.inputs.push_back(input.name.c_str());
    for (const OutputInfo& output : manifest.outputs) model_.outputs.push_back(output.name.c_str());
}

void OrtEngine::load(const std::string& path, const Manifest& manifest, int threads, bool cuda) {
    const auto options = made<OrtSessionOptions>(
        [&](OrtSessionOptions** made) { return api_->CreateSessionOptions(made); });
    check(api_->SetSessionLogSeverityLevel(options.get(), ort_logs_errors));
    // In 1.32 it ends the process where a MatMul with float16 weights reads a Transpose
    check(api_->AddSessionConfigEntry(options.get(), "optimization.disable_specified_optimizers",
                                      "FuseFp16InitializerToFp32NodeTransformer"));
    if (manifest.half_scales)  // its WeightBiasQuantization makes wrong biases of such pairs
        check(api_->AddSessionConfigEntry(options.get(), "session.disable_quant_qdq", "1"));
    if (threads > 0) check(api_->SetIntraOpNumThreads(options.get(), threads));
    if (cuda) warning = add_cuda(options.get(), manifest.is_fp32);
    OrtSession* session = nullptr;
    OrtStatus* status = api_->CreateSession(env_.get(), path.c_str(), options.get(), &session);
    if (status != nullptr && cuda && warning.empty()) {
        const std::string reason = ort_failure(api_, status);
        load(path, manifest, threads, false);
        warning = reason;
        return;
    }
    check(status);
    model_.session = OrtHandle<OrtSession>(session, {api_});
}

/// Add the CUDA provider, and return why that failed; empty if it did not.
///
/// By default, GPUs from Ampere on multiply float32 with mantissas of 10 bits (TensorFloat-32), which
/// a model in float32 is not proven for. ONNX Runtime before 1.18 has no option for that, and its
/// refusal of the option is passed over.
std::string OrtEngine::add_cuda(OrtSessionOptions* options, bool is_fp32) const {
    OrtCUDAProviderOptionsV2* made = nullptr;
    if (OrtStatus* status = api_->CreateCUDAProviderOptions(&made))
        return ort_failure(api_, status);
    const OrtHandle<OrtCUDAProviderOptionsV2> cuda(made, {api_});
    if (is_fp32) {
        const char *const key = "use_tf32", *const value = "0";
        ort_failure(api_, api_->UpdateCUDAProviderOptions(cuda.get(), &key, &value, 1));
    }
    return ort_failure(api_,
                       api_->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda.get()));
}

Arrays OrtEngine::run(const Input* inputs) const {
    const std::vector<const char*>& names = model_.outputs;
    Arrays arrays;
    try {
        OrtTensors given(model_, model_.inputs);
        given.take(inputs);
        std::vector<OrtValue*> values(names.size(), nullptr);
        check(api_->Run(model_.session.get(), nullptr, given.names.data(), given.values.data(),
                        given.values.size(), names.data(), values.size(), values.data()));
        std::vector<OrtHandle<OrtValue>> held;
        for (OrtValue* value : values) held.emplace_back(value, OrtRelease{api_});
        for (std::size_t at = 0; at < values.size(); ++at)
            arrays[names[at]] = array_of(api_, values[at]);
    } catch (const std::runtime_error& error) {
        refuse_ort_run(inputs, model_.inputs.size(), error.what());
    }
    return arrays;
}

}  // namespace

std::unique_ptr<Engine> open_onnxruntime(const std::filesystem::path& bundle,
                                         const Manifest& manifest, const Options& options) {
    return std::make_unique<OrtEngine>(bundle, manifest, options);
}

}  // namespace kexport
