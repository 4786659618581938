/// TensorRT engine: runs a bundle's engine.plan with the system's TensorRT, 8.5 to 11; as
/// runtime/trt_engine.py.
#include <NvInfer.h>

#include <mutex>
#include <stdexcept>
#include <type_traits>

#include "engine_record.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "gpu.hpp"
#include "select_engine.hpp"
#include "text.hpp"

namespace kexport {

namespace {

namespace trt = nvinfer1;

constexpr std::uintmax_t largest_plan = std::uintmax_t{16} << 30;

/// Keeps the last error that TensorRT logged.
class Log : public trt::ILogger {
  public:
    void log(Severity severity, const trt::AsciiChar* text) noexcept override {
        if (severity > Severity::kERROR) return;
        const std::lock_guard<std::mutex> lock(mutex_);
        try {
            last_ = text;
        } catch (const std::bad_alloc&) {
            last_.clear();
        }
    }

    std::string last() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return last_.empty() ? "it gives no reason" : last_;
    }

  private:
    mutable std::mutex mutex_;
    std::string last_;
};

std::string version() {
    return cat(NV_TENSORRT_MAJOR, ".", NV_TENSORRT_MINOR, ".", NV_TENSORRT_PATCH);
}

bool same_type(trt::DataType found, DType stated) {
    switch (found) {
        case trt::DataType::kFLOAT:
            return stated == DType::float32;
        case trt::DataType::kHALF:
            return stated == DType::float16;
        case trt::DataType::kINT8:
            return stated == DType::int8;
        case trt::DataType::kINT32:
            return stated == DType::int32;
        case trt::DataType::kBOOL:
            return stated == DType::boolean;
        case trt::DataType::kUINT8:
            return stated == DType::uint8;
#if NV_TENSORRT_MAJOR >= 10
        case trt::DataType::kINT64:
            return stated == DType::int64;
#endif
        default:
            return false;
    }
}

/// Convert a shape to TensorRT's: sizes have 32 bits in TensorRT 8, 64 bits from 10 on.
trt::Dims dims_of(const Shape& shape) {
    trt::Dims dims{};
    dims.nbDims = static_cast<std::int32_t>(shape.rank());
    for (std::size_t axis = 0; axis < shape.rank(); ++axis)
        dims.d[axis] = static_cast<std::decay_t<decltype(dims.d[0])>>(shape[axis]);
    return dims;
}

Shape shape_of(const trt::Dims& dims) {
    std::int64_t sizes[Shape::max_rank] = {};
    const auto rank = static_cast<std::size_t>(dims.nbDims < 0 ? 0 : dims.nbDims);
    for (std::size_t axis = 0; axis < rank && axis < Shape::max_rank; ++axis)
        sizes[axis] = dims.d[axis];
    return {sizes, rank};
}

bool may_be(const Shape& found, const Shape& stated) {
    if (found.rank() != stated.rank()) return false;
    for (std::size_t axis = 0; axis < found.rank(); ++axis)
        if (found[axis] >= 0 && stated[axis] >= 0 && found[axis] != stated[axis]) return false;
    return true;
}

/// Memory on the GPU for one tensor; it is reused from run to run unless it is too small.
struct Buffer {
    void* memory = nullptr;
    std::size_t bytes = 0;
};

/// One execution context: calls from several threads run one after another.
class TrtEngine : public Engine {
  public:
    TrtEngine(const std::filesystem::path& bundle, const Manifest& manifest);
    ~TrtEngine() override;

    std::unique_ptr<Binding> binding() const override;
    Arrays run(const Input* inputs) const override;
    void run(const Input* inputs, const Output* outputs) const;

  private:
    template <class Infos>
    void check_tensors(const Infos& infos, trt::TensorIOMode mode, const char* role) const;
    void start(const Input* inputs) const;
    void* room(Buffer& buffer, std::size_t bytes) const;
    [[noreturn]] void refuse_run(const Input* inputs, const std::string& reason) const;

    const Manifest& manifest_;
    Log log_;
    Gpu gpu_;
    std::unique_ptr<trt::IRuntime> runtime_;
    std::unique_ptr<trt::ICudaEngine> engine_;
    std::unique_ptr<trt::IExecutionContext> context_;
    mutable std::vector<Buffer> inputs_, outputs_;
    mutable std::vector<Shape> shapes_;
    mutable std::mutex mutex_;
};

/// A caller's tensors, which each run copies to the GPU and back.
class TrtBinding : public Binding {
  public:
    TrtBinding(const TrtEngine& engine, const Manifest& manifest)
        : engine_(engine), inputs_(manifest.inputs.size()), outputs_(manifest.outputs.size()) {}

    void bind(const Input* inputs, const Output* outputs) override {
        inputs_.assign(inputs, inputs + inputs_.size());
        outputs_.assign(outputs, outputs + outputs_.size());
    }
    void run() override { engine_.run(inputs_.data(), outputs_.data()); }

  private:
    const TrtEngine& engine_;
    std::vector<Input> inputs_;
    std::vector<Output> outputs_;
};

std::unique_ptr<Binding> TrtEngine::binding() const {
    return std::make_unique<TrtBinding>(*this, manifest_);
}

TrtEngine::TrtEngine(const std::filesystem::path& bundle, const Manifest& manifest)
    : manifest_(manifest), inputs_(manifest.inputs.size()), outputs_(manifest.outputs.size()) {
    shapes_.reserve(manifest.outputs.size());
    const std::string path = bundle / "engine.plan";
    const EngineRecord record = read_engine_record(bundle);
    const Environment here{
        "tensorrt", version(), platform_here(), gpu_.name(), {gpu_.compute_capability()}};
    if (const auto fault = record_fault(record, hash_of_model(bundle), here))
        refuse_bundle(cat(path, " cannot run here: ", *fault), build_again);
    runtime_.reset(trt::createInferRuntime(log_));
    if (runtime_ == nullptr)
        refuse(Status::engine_missing,
               cat("tensorrt ", version(), " does not start: ", log_.last()));
    if (record.dla_core) runtime_->setDLACore(*record.dla_core);
#if NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR >= 806
    if (record.version_compatible) runtime_->setEngineHostCodeAllowed(true);
#endif
    const std::string plan = read_file(path, path, largest_plan);
    engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
    if (engine_ == nullptr)
        refuse_bundle(cat("tensorrt ", version(), " cannot load ", path, ": ", log_.last()),
                      build_again);
    check_tensors(manifest.inputs, trt::TensorIOMode::kINPUT, "input");
    check_tensors(manifest.outputs, trt::TensorIOMode::kOUTPUT, "output");
    context_.reset(engine_->createExecutionContext());
    if (context_ == nullptr)
        refuse(Status::failed, cat("tensorrt has no room for ", path, ": ", log_.last()),
               "close other programs that use the GPU");
    name = cat("tensorrt ", version(), ", ", gpu_.name());
}

TrtEngine::~TrtEngine() {
    for (const Buffer& buffer : inputs_) gpu_.free(buffer.memory);
    for (const Buffer& buffer : outputs_) gpu_.free(buffer.memory);
}

template <class Infos>
void TrtEngine::check_tensors(const Infos& infos, trt::TensorIOMode mode, const char* role) const {
    const auto listed = [&infos](const std::string& found) {
        for (const auto& info : infos)
            if (info.name == found) return true;
        return false;
    };
    for (std::int32_t at = 0; at < engine_->getNbIOTensors(); ++at) {
        const char* found = engine_->getIOTensorName(at);
        if (engine_->getTensorIOMode(found) == mode && !listed(found))
            refuse_bundle(cat("engine.plan has an ", role, " ", repr(found),
                              " that the manifest does not list"),
                          build_again);
    }
    for (const auto& info : infos) {
        if (engine_->getTensorIOMode(info.name.c_str()) != mode)
            refuse_bundle(cat("engine.plan has no ", role, " ", repr(info.name),
                              ", which the manifest lists"),
                          build_again);
        const Shape shape = shape_of(engine_->getTensorShape(info.name.c_str()));
        if (!same_type(engine_->getTensorDataType(info.name.c_str()), info.dtype) ||
            !may_be(shape, info.shape))
            refuse_bundle(cat(role, " ", repr(info.name), " of engine.plan is not ",
                              described(info.dtype, info.shape), ", as the manifest says"),
                          build_again);
    }
}

void* TrtEngine::room(Buffer& buffer, std::size_t bytes) const {
    if (buffer.bytes < bytes) {
        gpu_.free(buffer.memory);
        buffer = {};
        buffer = {gpu_.allocate(bytes), bytes};
    }
    return buffer.memory;
}

/// Queue the inputs and the run on the stream without waiting, and set `shapes_` to the outputs'
/// shapes.
void TrtEngine::start(const Input* inputs) const {
    gpu_.use();
    const auto demand = [&](bool done) {
        if (!done) refuse_run(inputs, log_.last());
    };
    for (std::size_t at = 0; at < inputs_.size(); ++at) {
        const char* tensor = manifest_.inputs[at].name.c_str();
        const auto bytes =
            static_cast<std::size_t>(inputs[at].shape.elements()) * bytes_of(inputs[at].dtype);
        demand(context_->setInputShape(tensor, dims_of(inputs[at].shape)));
        gpu_.to_device(room(inputs_[at], bytes), inputs[at].data, bytes);
        demand(context_->setTensorAddress(tensor, inputs_[at].memory));
    }
    shapes_.clear();
    for (std::size_t at = 0; at < outputs_.size(); ++at) {
        const OutputInfo& info = manifest_.outputs[at];
        const Shape shape = shape_of(context_->getTensorShape(info.name.c_str()));
        if (shape.elements() < 1) refuse_run(inputs, "an output's size is known only afterwards");
        const auto bytes = static_cast<std::size_t>(shape.elements()) * bytes_of(info.dtype);
        demand(context_->setTensorAddress(info.name.c_str(), room(outputs_[at], bytes)));
        shapes_.push_back(shape);
    }
    demand(context_->enqueueV3(static_cast<cudaStream_t>(gpu_.stream())));
}

void TrtEngine::run(const Input* inputs, const Output* outputs) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
        start(inputs);
        for (std::size_t at = 0; at < outputs_.size(); ++at) {
            if (outputs[at].data == nullptr) continue;
            if (outputs[at].shape != shapes_[at])
                refuse_input(cat("output ", repr(outputs[at].name), " is ",
                                 described(outputs[at].dtype, shapes_[at]), ", got ",
                                 described(outputs[at].dtype, outputs[at].shape)));
            const auto bytes =
                static_cast<std::size_t>(shapes_[at].elements()) * bytes_of(outputs[at].dtype);
            gpu_.to_host(outputs[at].data, outputs_[at].memory, bytes);
        }
        gpu_.wait();
    } catch (const std::runtime_error& error) {
        refuse_run(inputs, error.what());
    }
}

Arrays TrtEngine::run(const Input* inputs) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    Arrays arrays;
    try {
        start(inputs);
        for (std::size_t at = 0; at < outputs_.size(); ++at) {
            const OutputInfo& info = manifest_.outputs[at];
            const Shape& shape = shapes_[at];
            Array& array = arrays[info.name];
            array = {info.dtype, {shape.begin(), shape.end()}, {}};
            array.data.resize(static_cast<std::size_t>(shape.elements()) * bytes_of(info.dtype));
            gpu_.to_host(array.data.data(), outputs_[at].memory, array.data.size());
        }
        gpu_.wait();
    } catch (const std::runtime_error& error) {
        refuse_run(inputs, error.what());
    }
    return arrays;
}

void TrtEngine::refuse_run(const Input* inputs, const std::string& reason) const {
    std::string given;
    for (std::size_t at = 0; at < inputs_.size(); ++at)
        given += cat(at == 0 ? "" : ", ", described(inputs[at].dtype, inputs[at].shape));
    refuse_input(cat(name, " failed on ", given, ": ", reason),
                 "build with --min-shapes and --max-shapes that include these sizes");
}

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const std::filesystem::path& bundle,
                                      const Manifest& manifest) {
    return std::make_unique<TrtEngine>(bundle, manifest);
}

}  // namespace kexport
