/// Run a bundle's model.onnx with ONNX Runtime; as runtime/ort.py.
#include <stdexcept>

#include "engine.hpp"
#include "faults.hpp"
#include "ort_library.hpp"
#include "ort_tensors.hpp"
#include "pool.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr char model_file[] = "model.onnx";

/// Tensors of the caller as ONNX Runtime sees them. A tensor seen before at the same place and of
/// the same shape is kept from the last call.
class Bound {
  public:
    Bound(const OrtApi* api, const OrtMemoryInfo* memory, std::size_t count)
        : api_(api), memory_(memory), held_(count) {
        values.reserve(count);
    }

    /// Let go of the list; `add` fills it anew.
    void clear() noexcept { values.clear(); }

    /// Add the tensor that stands at `place` in the manifest.
    template <class Tensor>
    void add(std::size_t place, const Tensor& tensor) {
        Held& held = held_[place];
        if (held.value == nullptr || held.data != tensor.data || held.shape != tensor.shape) {
            OrtValue* value = nullptr;
            const auto bytes =
                static_cast<std::size_t>(tensor.shape.elements()) * bytes_of(tensor.dtype);
            held.value.reset();
            ort_check(api_, api_->CreateTensorWithDataAsOrtValue(
                                memory_, const_cast<void*>(tensor.data), bytes, tensor.shape.data(),
                                tensor.shape.rank(), ort_type(tensor.dtype), &value));
            held = {OrtHandle<OrtValue>(value, {api_}), tensor.data, tensor.shape};
        }
        values.push_back(held.value.get());
    }

    std::vector<OrtValue*> values;  ///< what was added

  private:
    struct Held {
        OrtHandle<OrtValue> value;
        const void* data = nullptr;
        Shape shape;
    };

    const OrtApi* api_;
    const OrtMemoryInfo* memory_;
    std::vector<Held> held_;
};

/// What one call uses.
struct Lane {
    Bound inputs, outputs;
    std::vector<const char*> output_names;
};

class OrtEngine : public Engine {
  public:
    OrtEngine(const std::filesystem::path& bundle, const Manifest& manifest,
              const Options& options);

    void run(const Input* inputs, const Output* outputs) const override;
    Arrays run(const Input* inputs) const override;

  private:
    template <class Held, class Create>
    OrtHandle<Held> made(const Create& create) const {
        Held* held = nullptr;
        check(create(&held));
        return OrtHandle<Held>(held, {api_});
    }
    void check(OrtStatus* status) const { ort_check(api_, status); }
    void load(const std::string& path, int threads, bool cuda);
    std::string add_cuda(OrtSessionOptions* options) const;
    void bind_inputs(Bound& bound, const Input* inputs) const;
    Pool<Lane>::Loan lend() const;
    [[noreturn]] void refuse_run(const Input* inputs, const char* reason) const;

    OrtLibrary library_;
    const OrtApi* api_;
    OrtHandle<OrtEnv> env_;
    OrtHandle<OrtMemoryInfo> memory_;
    OrtHandle<OrtSession> session_;
    std::vector<std::string> names_;  // inputs, then outputs; the pointers below lead here
    std::vector<const char*> input_names_, output_names_;
    mutable Pool<Lane> lanes_;
};

OrtEngine::OrtEngine(const std::filesystem::path& bundle, const Manifest& manifest,
                     const Options& options)
    : library_(load_ort(options.onnxruntime)), api_(library_.api) {
    env_ = made<OrtEnv>(
        [&](OrtEnv** env) { return api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "kexport", env); });
    memory_ = made<OrtMemoryInfo>([&](OrtMemoryInfo** memory) {
        return api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory);
    });
    const bool cuda = options.device == Device::cuda ||
                      (options.device == Device::bundle && manifest.device == "cuda");
    const std::string path = bundle / model_file;
    try {
        load(path, options.threads, cuda);
    } catch (const std::runtime_error& error) {
        refuse_bundle(
            cat("onnxruntime ", library_.version, " cannot load ", path, ": ", error.what()),
            "copy the bundle again whole, or upgrade onnxruntime");
    }
    if (cuda && !warning.empty())
        warning = cat("CUDAExecutionProvider did not load, so ", manifest.model,
                      " runs on CPUExecutionProvider; install onnxruntime-gpu and the CUDA and "
                      "cuDNN that it asks for (",
                      warning, ")");
    name = cat("onnxruntime ", library_.version, ", ",
               cuda && warning.empty() ? "CUDAExecutionProvider" : "CPUExecutionProvider");
    check_tensors(api_, session_.get(), manifest);
    for (const InputInfo& input : manifest.inputs) names_.push_back(input.name);
    for (const OutputInfo& output : manifest.outputs) names_.push_back(output.name);
    for (const std::string& text : names_)
        (input_names_.size() < manifest.inputs.size() ? input_names_ : output_names_)
            .push_back(text.c_str());
}

void OrtEngine::load(const std::string& path, int threads, bool cuda) {
    const auto options = made<OrtSessionOptions>(
        [&](OrtSessionOptions** made) { return api_->CreateSessionOptions(made); });
    check(api_->SetSessionLogSeverityLevel(options.get(), ORT_LOGGING_LEVEL_ERROR));
    if (threads > 0) check(api_->SetIntraOpNumThreads(options.get(), threads));
    if (cuda) warning = add_cuda(options.get());
    OrtSession* session = nullptr;
    OrtStatus* status = api_->CreateSession(env_.get(), path.c_str(), options.get(), &session);
    if (status != nullptr && cuda && warning.empty()) {
        const std::string reason = ort_failure(api_, status);
        load(path, threads, false);
        warning = reason;
        return;
    }
    check(status);
    session_ = OrtHandle<OrtSession>(session, {api_});
}

/// Ask for CUDA, and return why it cannot be had; empty where it can.
std::string OrtEngine::add_cuda(OrtSessionOptions* options) const {
    OrtCUDAProviderOptionsV2* made = nullptr;
    if (OrtStatus* status = api_->CreateCUDAProviderOptions(&made))
        return ort_failure(api_, status);
    const OrtHandle<OrtCUDAProviderOptionsV2> cuda(made, {api_});
    return ort_failure(api_,
                       api_->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda.get()));
}

Pool<Lane>::Loan OrtEngine::lend() const {
    return lanes_.lend([this] {
        Lane lane{Bound(api_, memory_.get(), input_names_.size()),
                  Bound(api_, memory_.get(), output_names_.size()),
                  {}};
        lane.output_names.reserve(output_names_.size());
        return lane;
    });
}

void OrtEngine::bind_inputs(Bound& bound, const Input* inputs) const {
    bound.clear();
    for (std::size_t at = 0; at < input_names_.size(); ++at) bound.add(at, inputs[at]);
}

void OrtEngine::run(const Input* inputs, const Output* outputs) const {
    const auto lane = lend();
    try {
        bind_inputs(lane->inputs, inputs);
        lane->outputs.clear();
        lane->output_names.clear();
        for (std::size_t at = 0; at < output_names_.size(); ++at) {
            if (outputs[at].data == nullptr) continue;
            lane->outputs.add(at, outputs[at]);
            lane->output_names.push_back(output_names_[at]);
        }
        check(api_->Run(session_.get(), nullptr, input_names_.data(), lane->inputs.values.data(),
                        input_names_.size(), lane->output_names.data(), lane->output_names.size(),
                        lane->outputs.values.data()));
    } catch (const std::runtime_error& error) {
        refuse_run(inputs, error.what());
    }
}

Arrays OrtEngine::run(const Input* inputs) const {
    const auto lane = lend();
    Arrays arrays;
    try {
        bind_inputs(lane->inputs, inputs);
        std::vector<OrtValue*> values(output_names_.size(), nullptr);
        check(api_->Run(session_.get(), nullptr, input_names_.data(), lane->inputs.values.data(),
                        input_names_.size(), output_names_.data(), values.size(), values.data()));
        std::vector<OrtHandle<OrtValue>> held;
        for (OrtValue* value : values) held.emplace_back(value, OrtRelease{api_});
        for (std::size_t at = 0; at < values.size(); ++at)
            arrays[output_names_[at]] = array_of(api_, values[at]);
    } catch (const std::runtime_error& error) {
        refuse_run(inputs, error.what());
    }
    return arrays;
}

void OrtEngine::refuse_run(const Input* inputs, const char* reason) const {
    std::string given;
    for (std::size_t at = 0; at < input_names_.size(); ++at)
        given += cat(at == 0 ? "" : ", ", described(inputs[at].dtype, inputs[at].shape));
    refuse_input(cat("onnxruntime failed on ", given, ": ", reason),
                 "check the sizes that the model leaves free, and that memory is enough");
}

}  // namespace

std::unique_ptr<Engine> open_onnxruntime(const std::filesystem::path& bundle,
                                         const Manifest& manifest, const Options& options) {
    return std::make_unique<OrtEngine>(bundle, manifest, options);
}

}  // namespace kexport
