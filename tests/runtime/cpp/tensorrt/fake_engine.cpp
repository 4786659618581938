/// A TensorRT that knows one model: the mean colour of an image, scored for five classes
/// (tests/runtime/conftest.py). A plan is the word "mean_colour"; with "broken" after it, runs
/// fail.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "NvInfer.h"

namespace nvinfer1 {
namespace {

constexpr int classes = 5, height = 8, width = 6;
constexpr float colours[classes][3] = {
    {-1, -1, -1}, {1, -1, -1}, {-1, 1, -1}, {-1, -1, 1}, {1, 1, 1}};

/// The bundle's batch is 1.
class Context : public IExecutionContext {
  public:
    Context(ILogger& logger, bool broken) : logger_(logger), broken_(broken) {}

    bool setInputShape(const char*, const Dims& dims) noexcept override {
        fits_ = dims.nbDims == 4 && dims.d[0] == 1 && dims.d[1] == height && dims.d[2] == width;
        return fits_;
    }
    Dims getTensorShape(const char*) const noexcept override { return {2, {1, classes}}; }
    bool setTensorAddress(const char* name, void* data) noexcept override {
        (std::string(name) == "image" ? image_ : scores_) = data;
        return true;
    }
    bool enqueueV3(cudaStream_t stream) noexcept override {
        if (broken_ || !fits_ || stream == nullptr) {
            logger_.log(ILogger::Severity::kERROR, "the plan is broken");
            return false;
        }
        std::array<double, 3> mean{};
        for (int at = 0; at < height * width * 3; ++at)
            mean[static_cast<std::size_t>(at % 3)] +=
                static_cast<const unsigned char*>(image_)[at] / double{height * width};
        std::array<double, classes> powers{};
        double sum = 0;
        for (std::size_t one = 0; one < classes; ++one) {
            double logit = 0;
            for (std::size_t c = 0; c < 3; ++c)
                logit += (mean[c] - 127.5) * double{colours[one][c]} / 40;
            sum += powers[one] = std::exp(logit);
        }
        for (std::size_t one = 0; one < classes; ++one)
            static_cast<float*>(scores_)[one] = static_cast<float>(powers[one] / sum);
        return true;
    }

  private:
    ILogger& logger_;
    bool broken_, fits_ = false;
    void *image_ = nullptr, *scores_ = nullptr;
};

class Engine : public ICudaEngine {
  public:
    Engine(ILogger& logger, bool broken) : logger_(logger), broken_(broken) {}

    std::int32_t getNbIOTensors() const noexcept override { return 2; }
    const char* getIOTensorName(std::int32_t index) const noexcept override {
        return index == 0 ? "image" : "probabilities";
    }
    TensorIOMode getTensorIOMode(const char* name) const noexcept override {
        if (std::string(name) == "image") return TensorIOMode::kINPUT;
        return std::string(name) == "probabilities" ? TensorIOMode::kOUTPUT : TensorIOMode::kNONE;
    }
    DataType getTensorDataType(const char* name) const noexcept override {
        return std::string(name) == "image" ? DataType::kUINT8 : DataType::kFLOAT;
    }
    Dims getTensorShape(const char* name) const noexcept override {
        return std::string(name) == "image" ? Dims{4, {1, height, width, 3}}
                                            : Dims{2, {1, classes}};
    }
    IExecutionContext* createExecutionContext() noexcept override {
        return new Context(logger_, broken_);
    }

  private:
    ILogger& logger_;
    bool broken_;
};

class Runtime : public IRuntime {
  public:
    explicit Runtime(ILogger& logger) : logger_(logger) {}

    ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept override {
        const std::string text(static_cast<const char*>(plan), size);
        if (text.rfind("mean_colour", 0) == 0)
            return new Engine(logger_, text.find("broken") != text.npos);
        logger_.log(ILogger::Severity::kERROR, "the plan is none of mine");
        return nullptr;
    }
    void setDLACore(std::int32_t) noexcept override {}
    void setEngineHostCodeAllowed(bool) noexcept override {}

  private:
    ILogger& logger_;
};

}  // namespace

IRuntime* createInferRuntime(ILogger& logger) noexcept {
    return new Runtime(logger);
}

}  // namespace nvinfer1
