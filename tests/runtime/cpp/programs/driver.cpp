/// What the tests ask of the library, one command a call; texts and raw values go to stdout.
///
///     driver run BUNDLE             inputs of golden.npz through Model::run: every output's bytes
///     driver threads BUNDLE COUNT   the same from several threads at once: whether all agree
///     driver classify BUNDLE FILE WIDTH HEIGHT STRIDE FORMAT K
///     driver mask BUNDLE FILE WIDTH HEIGHT   the mask of RGB pixels: the class of each
///     driver images BUNDLE (FILE WIDTH HEIGHT)...   RGB pixels in one call: a line for each image
///     driver manifests FOLDER...    what is wrong with each folder's manifest, or "read"
///     driver decode FILE            width, height, channels, then the values of an image
///     driver npz FILE...            what is wrong with each archive of arrays, or "read"
///     driver faults BUNDLE          calls that must be refused: status, message and hint of each
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "kexport.hpp"
#include "programs/decode.hpp"
#include "src/errors.hpp"
#include "src/files.hpp"
#include "src/golden.hpp"

namespace {

using Bytes = std::vector<unsigned char>;

template <class Value>
Value demand(kexport::Result<Value> result) {
    if (result) return std::move(*result);
    std::fprintf(stderr, "error: %s\n", result.fault().message.c_str());
    std::exit(static_cast<int>(result.fault().status));
}

/// Outputs of one batch, and the views that a run writes through.
struct Outputs {
    explicit Outputs(const kexport::Model& model, std::int64_t batch) {
        memory.reserve(model.outputs().size());
        for (const kexport::OutputInfo& info : model.outputs()) {
            kexport::Shape shape = info.shape;
            if (shape.rank() > 0 && shape[0] < 0) shape[0] = batch;
            memory.emplace_back(static_cast<std::size_t>(shape.elements()) *
                                kexport::bytes_of(info.dtype));
            views.emplace_back(info.name, info.dtype, memory.back().data(), shape);
        }
    }

    std::vector<Bytes> memory;
    std::vector<kexport::Output> views;
};

/// Golden inputs from a sample on, as many as the model takes at a time.
std::vector<kexport::Input> golden_inputs(const kexport::Model& model,
                                          const kexport::Arrays& golden, std::int64_t from) {
    std::vector<kexport::Input> inputs;
    for (const kexport::InputInfo& info : model.inputs()) {
        const kexport::Array& array = golden.at(info.name);
        const std::size_t bytes = array.data.size() / static_cast<std::size_t>(array.shape[0]);
        kexport::Shape shape(array.shape.data(), array.shape.size());
        if (info.shape[0] > 0) shape[0] = info.shape[0];
        inputs.emplace_back(info.name, info.dtype,
                            array.data.data() + static_cast<std::size_t>(from) * bytes, shape);
    }
    return inputs;
}

kexport::Arrays golden_of(const std::string& bundle) {
    return kexport::parse_npz(kexport::read_file(bundle + "/golden.npz", "golden.npz", 1 << 30));
}

bool ran(const kexport::Model& model, const std::vector<kexport::Input>& inputs,
         const Outputs& outputs) {
    const auto done =
        model.run(inputs.data(), inputs.size(), outputs.views.data(), outputs.views.size());
    if (!done) std::fprintf(stderr, "error: %s\n", done.fault().message.c_str());
    return static_cast<bool>(done);
}

int run(const std::string& bundle) {
    const kexport::Model model = demand(kexport::Model::open(bundle));
    const kexport::Arrays golden = golden_of(bundle);
    const std::int64_t samples = golden.at(model.inputs()[0].name).shape[0];
    const std::int64_t stated = model.inputs()[0].shape[0];
    const std::int64_t batch = stated > 0 ? stated : samples;
    for (std::int64_t from = 0; from + batch <= samples; from += batch) {
        const Outputs outputs(model, batch);
        if (!ran(model, golden_inputs(model, golden, from), outputs)) return 1;
        for (const Bytes& bytes : outputs.memory)
            std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    }
    return 0;
}

int threads(const std::string& bundle, int count) {
    const kexport::Model model = demand(kexport::Model::open(bundle));
    const kexport::Arrays golden = golden_of(bundle);
    const std::int64_t samples = golden.at(model.inputs()[0].name).shape[0];
    std::vector<Outputs> expected;
    for (std::int64_t from = 0; from < samples; ++from) {
        expected.emplace_back(model, 1);
        if (!ran(model, golden_inputs(model, golden, from), expected.back())) return 1;
    }
    std::atomic<int> wrong{0};
    const auto work = [&](int thread) {
        for (int turn = 0; turn < 50; ++turn) {
            const std::int64_t sample = (thread + turn) % samples;
            const Outputs outputs(model, 1);
            const auto inputs = golden_inputs(model, golden, sample);
            if (!ran(model, inputs, outputs) ||
                outputs.memory != expected[static_cast<std::size_t>(sample)].memory)
                ++wrong;
        }
    };
    std::vector<std::thread> workers;
    for (int thread = 0; thread < count; ++thread) workers.emplace_back(work, thread);
    for (std::thread& worker : workers) worker.join();
    std::printf("%d wrong\n", wrong.load());
    return wrong == 0 ? 0 : 1;
}

int classify(char** words) {
    const kexport::Model model = demand(kexport::Model::open(words[2]));
    const std::string pixels = kexport::read_file(words[3], words[3], 1 << 30);
    const auto number = [&](int at) { return std::atoi(words[at]); };
    const auto best = demand(model.classify(
        reinterpret_cast<const std::uint8_t*>(pixels.data()), number(4), number(5),
        static_cast<std::size_t>(number(6)), static_cast<kexport::PixelFormat>(number(7)),
        static_cast<std::size_t>(number(8))));
    for (const kexport::Prediction& found : best)
        std::printf("%lld\t%s\t%.17g\n", static_cast<long long>(found.index), found.label.c_str(),
                    found.score);
    return 0;
}

int mask(char** words) {
    const kexport::Model model = demand(kexport::Model::open(words[2]));
    const std::string pixels = kexport::read_file(words[3], words[3], 1 << 30);
    const auto found = demand(model.predict(reinterpret_cast<const std::uint8_t*>(pixels.data()),
                                            std::atoi(words[4]), std::atoi(words[5]), 0,
                                            kexport::PixelFormat::rgb));
    const auto& classes = std::get<kexport::Mask>(found).classes;
    std::fwrite(classes.data(), 1, classes.size(), stdout);
    return 0;
}

/// Print scores, best first, or numbers.
void print_line(const kexport::Answer& answer) {
    if (const auto* numbers = std::get_if<std::vector<kexport::Number>>(&answer))
        for (const kexport::Number& one : *numbers) std::printf("%.17g ", one.value);
    if (const auto* classes = std::get_if<std::vector<kexport::Prediction>>(&answer))
        for (const kexport::Prediction& one : *classes)
            std::printf("%lld %.17g ", static_cast<long long>(one.index), one.score);
    std::printf("\n");
}

int images(int count, char** words) {
    const kexport::Model model = demand(kexport::Model::open(words[2]));
    std::vector<std::string> files;
    std::vector<kexport::ImageView> views;
    for (int at = 3; at + 2 < count; at += 3)
        files.push_back(kexport::read_file(words[at], words[at], 1 << 30));
    for (std::size_t at = 0; at < files.size(); ++at)
        views.push_back({reinterpret_cast<const std::uint8_t*>(files[at].data()),
                         std::atoi(words[3 * at + 4]), std::atoi(words[3 * at + 5])});
    for (const kexport::Answer& answer : demand(model.predict(views))) print_line(answer);
    if (model.task().name == "classify")
        for (const auto& best : demand(model.classify(views, 2))) print_line(best);
    return 0;
}

int manifests(int count, char** words) {
    for (int at = 2; at < count; ++at) {
        try {
            kexport::read_manifest(words[at]);
            std::puts("read");
        } catch (const kexport::Refusal& refusal) {
            std::puts(refusal.fault.message.c_str());
        }
    }
    return 0;
}

int decode(const char* path, const std::string& jpeg) {
    programs::Reader reader;
    if (jpeg == "fast") reader.jpeg = programs::Jpeg::fast;
    if (jpeg == "fast_grey") reader.jpeg = programs::Jpeg::fast_grey;
    const programs::Image image = demand(programs::decode(path, reader));
    std::printf("%d %d %d\n", image.width, image.height, image.channels);
    std::fwrite(image.values.data(), 1, image.values.size(), stdout);
    return 0;
}

int npz(int count, char** words) {
    for (int at = 2; at < count; ++at) {
        try {
            kexport::parse_npz(kexport::read_file(words[at], words[at], 1 << 30));
            std::puts("read");
        } catch (const std::runtime_error& error) {
            std::puts(error.what());
        }
    }
    return 0;
}

void print(const char* what, const kexport::Result<void>& result) {
    std::printf("%s\t", what);
    if (result) {
        std::printf("done\n");
    } else {
        const kexport::Fault& fault = result.fault();
        std::printf("%d\t%s\t%s\n", static_cast<int>(fault.status), fault.message.c_str(),
                    fault.hint.c_str());
    }
}

/// For the bundle of tests/runtime: uint8 [1, 8, 6, 3] to float32 [1, 5].
int faults(const std::string& bundle) {
    const kexport::Model model = demand(kexport::Model::open(bundle));
    const std::uint8_t image[8 * 6 * 3] = {};
    const float floats[8 * 6 * 3] = {};
    float scores[5];
    const kexport::Input given("image", image, {1, 8, 6, 3});
    const kexport::Output taken("probabilities", scores, {1, 5});
    print("fits", model.run({given}, {taken}));
    print("no input", model.run({}, {taken}));
    print("no output", model.run({given}, {}));
    print("unknown input", model.run({{"photo", image, {1, 8, 6, 3}}}, {taken}));
    print("unknown output", model.run({given}, {{"scores", scores, {1, 5}}}));
    print("twice", model.run({given, given}, {taken}));
    print("wrong type", model.run({{"image", floats, {1, 8, 6, 3}}}, {taken}));
    print("wrong size", model.run({{"image", image, {1, 6, 8, 3}}}, {taken}));
    print("no batch", model.run({{"image", image, {8, 6, 3}}}, {taken}));
    print("free size", model.run({{"image", image, {-1, 8, 6, 3}}}, {taken}));
    print("huge", model.run({{"image", image, {INT64_MAX, INT64_MAX, 6, 3}}}, {taken}));
    print("null",
          model.run({{"image", static_cast<const std::uint8_t*>(nullptr), {1, 8, 6, 3}}}, {taken}));
    print("wrong output", model.run({given}, {{"probabilities", scores, {5}}}));
    print("fits again", model.run({given}, {taken}));
    char name[] = "image";
    print("named", model.run({{name, image, {1, 8, 6, 3}}}, {taken}));
    name[0] = 'I';
    print("renamed", model.run({{name, image, {1, 8, 6, 3}}}, {taken}));
    const auto no_image = model.classify(nullptr, 6, 8, 0, kexport::PixelFormat::rgb);
    print("null image", no_image ? kexport::Result<void>() : no_image.fault());
    const auto short_rows = model.classify(image, 6, 8, 17, kexport::PixelFormat::rgb);
    print("short rows", short_rows ? kexport::Result<void>() : short_rows.fault());
    const auto video = model.classify(image, 6, 8, 0, kexport::PixelFormat::nv12);
    print("video", video ? kexport::Result<void>() : video.fault());
    kexport::Options options;
    options.threads = -1;
    const auto negative = kexport::Model::open(bundle, options);
    print("threads", negative ? kexport::Result<void>() : negative.fault());
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::string command = count > 2 ? words[1] : "";
    if (command == "run") return run(words[2]);
    if (command == "threads" && count == 4) return threads(words[2], std::atoi(words[3]));
    if (command == "classify" && count == 9) return classify(words);
    if (command == "mask" && count == 6) return mask(words);
    if (command == "images") return images(count, words);
    if (command == "manifests") return manifests(count, words);
    if (command == "decode") return decode(words[2], count > 3 ? words[3] : "accurate");
    if (command == "npz") return npz(count, words);
    if (command == "faults") return faults(words[2]);
    return 2;
}
