/// overhead BUNDLE LIBRARY ROUNDS SECONDS: Model::run beside the bare call of ONNX Runtime.
///
/// Both run in this process on one thread, from and into the same memory, and take turns call by
/// call. Every round opens both anew twice, each once as the first, because the order alone can
/// make one of them 2 % faster. Prints a line a round: the medians of Model::run and of the bare
/// call, averaged over the two, in microseconds.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kexport.hpp"
#include "src/ort_api.hpp"

namespace {

using kexport::OrtApi, kexport::OrtApiBase, kexport::OrtElement;

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* said) {
    std::fprintf(stderr, "%s\n", said);
    std::exit(1);
}

/// One sample of the first input and of the first output.
struct Tensors {
    explicit Tensors(const kexport::Model& model)
        : in(model.inputs()[0]),
          out(model.outputs()[0]),
          pixels(static_cast<std::size_t>(in.shape.elements())),
          scores(static_cast<std::size_t>(out.shape.elements())) {
        std::minstd_rand noise(1);
        for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(noise() >> 8);
    }

    kexport::InputInfo in;
    kexport::OutputInfo out;
    std::vector<std::uint8_t> pixels;
    std::vector<float> scores;
};

/// The C API alone, with the session options of kexport's runtime.
class Bare {
  public:
    Bare(const OrtApi* api, const std::string& path, Tensors& tensors)
        : api_(api), in_(tensors.in.name), out_(tensors.out.name) {
        OrtSessionOptions* options = nullptr;
        OrtMemoryInfo* memory = nullptr;
        check(api->CreateEnv(kexport::ort_logs_errors, "bare", &env_));
        check(api->CreateSessionOptions(&options));
        check(api->SetSessionLogSeverityLevel(options, kexport::ort_logs_errors));
        check(api->SetIntraOpNumThreads(options, 1));
        check(api->CreateSession(env_, path.c_str(), options, &session_));
        check(api->CreateCpuMemoryInfo(kexport::ort_arena_allocator,
                                       kexport::ort_default_memory, &memory));
        check(api->CreateTensorWithDataAsOrtValue(
            memory, tensors.pixels.data(), tensors.pixels.size(), tensors.in.shape.data(),
            tensors.in.shape.rank(), OrtElement::uint8, &input_));
        check(api->CreateTensorWithDataAsOrtValue(
            memory, tensors.scores.data(), tensors.scores.size() * sizeof(float),
            tensors.out.shape.data(), tensors.out.shape.rank(), OrtElement::float32,
            &output_));
        api->ReleaseMemoryInfo(memory);
        api->ReleaseSessionOptions(options);
    }
    ~Bare() {
        api_->ReleaseValue(output_);
        api_->ReleaseValue(input_);
        api_->ReleaseSession(session_);
        api_->ReleaseEnv(env_);
    }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    void run() {
        const char *in = in_.c_str(), *out = out_.c_str();
        check(api_->Run(session_, nullptr, &in, &input_, 1, &out, 1, &output_));
    }

  private:
    void check(OrtStatus* status) const {
        if (status != nullptr) fail(api_->GetErrorMessage(status));
    }

    const OrtApi* api_;
    std::string in_, out_;
    OrtEnv* env_ = nullptr;
    OrtSession* session_ = nullptr;
    OrtValue *input_ = nullptr, *output_ = nullptr;
};

kexport::Model opened(const std::string& bundle, const std::string& library) {
    kexport::Options options;
    options.threads = 1;
    options.onnxruntime = library;
    auto model = kexport::Model::open(bundle, options);
    if (!model) fail(model.fault().message.c_str());
    return std::move(*model);
}

const OrtApi* api_of(const std::string& library) {
    void* loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (loaded == nullptr) fail(dlerror());
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(loaded, "OrtGetApiBase"));
    constexpr std::uint32_t oldest = 11;
    return base()->GetApi(oldest);
}

template <class Call>
double microseconds(const Call& call) {
    const Clock::time_point start = Clock::now();
    call();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

struct Medians {
    double ours, bare;
};

/// Open both, the bare session first or second, and let them take turns.
Medians measured(const OrtApi* api, const std::string& bundle, const std::string& library,
                 Tensors& tensors, bool bare_first, std::chrono::duration<double> lasting) {
    const std::string file = bundle + "/model.onnx";
    std::optional<Bare> bare;
    if (bare_first) bare.emplace(api, file, tensors);
    const kexport::Model model = opened(bundle, library);
    if (!bare_first) bare.emplace(api, file, tensors);
    const auto ours = [&] {
        const kexport::Input input(tensors.in.name, tensors.pixels.data(), tensors.in.shape);
        const kexport::Output output(tensors.out.name, tensors.scores.data(), tensors.out.shape);
        const auto done = model.run(&input, 1, &output, 1);
        if (!done) fail(done.fault().message.c_str());
    };
    const auto theirs = [&] { bare->run(); };
    for (int warm = 0; warm < 5; ++warm) ours(), theirs();
    std::vector<double> mine, other;
    for (const auto end = Clock::now() + lasting; Clock::now() < end;) {
        mine.push_back(microseconds(ours));
        other.push_back(microseconds(theirs));
    }
    return {median(mine), median(other)};
}

}  // namespace

int main(int count, char** words) {
    if (count != 5) fail("usage: overhead BUNDLE LIBRARY ROUNDS SECONDS");
    const std::string bundle = words[1], library = words[2];
    const int rounds = std::atoi(words[3]);
    const std::chrono::duration<double> lasting(std::atof(words[4]) / 2);
    const OrtApi* api = api_of(library);
    Tensors tensors(opened(bundle, library));
    for (int round = 0; round < rounds; ++round) {
        const Medians first = measured(api, bundle, library, tensors, round % 2 == 0, lasting);
        const Medians second = measured(api, bundle, library, tensors, round % 2 != 0, lasting);
        std::printf("%.3f %.3f\n", (first.ours + second.ours) / 2, (first.bare + second.bare) / 2);
        std::fflush(stdout);
    }
}
