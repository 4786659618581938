/// The members of the public class Model, on a Session; as runtime/session.py.
#include "session.hpp"

#include <algorithm>
#include <cstring>

#include "classes.hpp"
#include "errors.hpp"
#include "file_hashes.hpp"
#include "image.hpp"
#include "inputs.hpp"
#include "labels.hpp"
#include "predict.hpp"
#include "select_engine.hpp"
#include "task.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr double most_classes = 9007199254740992.0;  // 2^53
constexpr char use_run[] = "use run(), which takes and gives tensors";

const InputInfo& image_input(const Manifest& manifest) {
    const InputInfo& first = manifest.inputs.front();
    if (manifest.inputs.size() != 1 || first.color.empty())
        refuse_input(
            cat("the model does not take an image: its inputs are ", names_of(manifest.inputs)),
            use_run);
    return first;
}

const OutputInfo* output_of(const Manifest& manifest, std::string_view kind) {
    for (const OutputInfo& output : manifest.outputs)
        if (output.kind == kind) return &output;
    return nullptr;
}

/// Repeat the sample to fill the model's batch.
void fill_batch(ImageSample& sample, const InputInfo& input) {
    const std::int64_t batch = input.shape[0];
    if (batch <= 1) return;
    const auto bytes = static_cast<std::size_t>(sample.shape.elements()) * bytes_of(input.dtype);
    std::vector<unsigned char> copies(bytes * static_cast<std::size_t>(batch));
    for (std::size_t at = 0; at < copies.size(); at += bytes)
        std::memcpy(copies.data() + at, sample.data, bytes);
    sample.held = std::move(copies);
    sample.data = sample.held.data();
    sample.shape[0] = batch;
}

void check_pixels(const Pixels& pixels) {
    if (pixels.data == nullptr || pixels.width < 1 || pixels.height < 1)
        refuse_input(cat("an image of ", pixels.height, " x ", pixels.width, " has no pixels"),
                     "pass a pointer, and a width and height of 1 or more");
    const std::size_t row = row_bytes(pixels.format, pixels.width);
    if (pixels.stride < row)
        refuse_input(cat("a stride of ", pixels.stride, " is less than a row of ", row, " bytes"),
                     "pass the bytes from one row to the next, or 0");
}

/// Run the model on one image, and return its outputs.
Arrays outputs_of(const Session& session, const Pixels& pixels) {
    const InputInfo& input = image_input(session.manifest);
    ImageSample sample = image_sample(pixels, input);
    fill_batch(sample, input);
    const Input given(input.name, input.dtype, sample.data, sample.shape);
    Input fitted;
    fit_inputs(&given, 1, session.manifest.inputs, &fitted);
    return session.engine->run(&fitted);
}

/// Return the classes that the model picked itself.
std::vector<Prediction> picked(const Session& session, const std::vector<double>& classes,
                               const std::vector<double>& scores, std::size_t count) {
    std::vector<Prediction> found;
    for (std::size_t at = 0; at < std::min({count, scores.size(), classes.size()}); ++at) {
        if (!(classes[at] >= 0.0 && classes[at] < most_classes))
            refuse_input("the model returns class indices that are not whole numbers");
        found.push_back(named(static_cast<std::int64_t>(classes[at]), scores[at], session.labels));
    }
    return found;
}

std::vector<Prediction> classified(const Session& session, const Pixels& pixels, std::size_t k) {
    const Manifest& manifest = session.manifest;
    const TaskInfo& task = manifest.task;
    image_input(manifest);
    check_pixels(pixels);
    if (!is_labelled(task)) {
        std::string listed;
        for (const OutputInfo& output : manifest.outputs)
            listed += cat(listed.empty() ? "" : ", ", output.name, " (", output.kind, ")");
        refuse_input(cat("the model returns no class scores: its outputs are ", listed),
                     cat("use predict(), whose answer is that of the task ", task.name));
    }
    const OutputInfo* indices = output_of(manifest, "indices");
    const std::int64_t gives =
        indices != nullptr && indices->shape.rank() == 2 ? indices->shape[1] : -1;
    if (gives >= 0 && k > static_cast<std::size_t>(gives))
        refuse_input(
            cat("the model returns its ", gives, " best classes, but ", k, " were requested"),
            cat("request ", gives, " or fewer, or export with a larger --top-k"));
    const Arrays outputs = outputs_of(session, pixels);
    const std::size_t count = k > 0 ? k : top_k;
    std::vector<double> values = first_sample(outputs.at(task.outputs.front()));
    if (indices != nullptr)
        return picked(session, first_sample(outputs.at(indices->name)), values, count);
    if (task.name == "classify")
        return best_classes(std::move(values), task, session.labels, count);
    std::vector<Prediction> found = task.name == "binary"
                                        ? yes_and_no(values, task, session.labels)
                                        : all_labels(std::move(values), task, session.labels);
    if (found.size() > count) found.resize(count);
    return found;
}

Answer answered(const Session& session, const Pixels& pixels, const Settings& settings) {
    const TaskInfo& task = session.manifest.task;
    check_settings(settings, task);
    if (task.name == "classify") return classified(session, pixels, settings.top_k);
    if (task.name == "raw" || task.name == "embed" || task.name == "image")
        refuse_input(cat("the answer of the task ", task.name, " is tensors"), use_run);
    image_input(session.manifest);
    check_pixels(pixels);
    const Placement placement = placement_of(session.manifest, pixels.height, pixels.width);
    return answer(task, outputs_of(session, pixels), session.labels, settings, placement);
}

}  // namespace

std::unique_ptr<Session> open_session(const std::filesystem::path& bundle, const Options& options) {
    if (options.threads < 0) refuse_input(cat("threads must be 0 or more, not ", options.threads));
    auto session = std::make_unique<Session>();
    session->manifest = read_manifest(bundle);
    if (options.check_files) check_files(bundle, session->manifest);
    session->labels = read_labels(bundle, session->manifest);
    session->engine = open_engine(bundle, session->manifest, options);
    return session;
}

Model::Model(std::unique_ptr<Session> session) noexcept : session_(std::move(session)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Result<Model> Model::open(const std::string& bundle, const Options& options) noexcept {
    return guarded<Model>([&] { return Model(open_session(bundle, options)); });
}

Result<void> Model::run(const Input* inputs, std::size_t input_count, const Output* outputs,
                        std::size_t output_count) const noexcept {
    return guarded<void>([&]() -> Result<void> {
        const auto binding = session_->bindings.lend(
            [this] { return BindingCache(session_->manifest, *session_->engine); });
        binding->run(inputs, input_count, outputs, output_count);
        return {};
    });
}

Result<std::vector<Prediction>> Model::classify(const std::uint8_t* pixels, int width, int height,
                                                std::size_t stride, PixelFormat format,
                                                std::size_t k) const noexcept {
    return guarded<std::vector<Prediction>>([&]() -> std::vector<Prediction> {
        const std::size_t step = stride != 0 ? stride : row_bytes(format, std::max(width, 0));
        return classified(*session_, {pixels, width, height, step, format}, k);
    });
}

Result<Answer> Model::predict(const std::uint8_t* pixels, int width, int height, std::size_t stride,
                              PixelFormat format, const Settings& settings) const noexcept {
    return guarded<Answer>([&]() -> Answer {
        const std::size_t step = stride != 0 ? stride : row_bytes(format, std::max(width, 0));
        return answered(*session_, {pixels, width, height, step, format}, settings);
    });
}

const TaskInfo& Model::task() const noexcept {
    return session_->manifest.task;
}
const std::string& Model::name() const noexcept {
    return session_->manifest.model;
}
const std::string& Model::target() const noexcept {
    return session_->manifest.target;
}
const std::string& Model::engine() const noexcept {
    return session_->engine->name;
}
const std::string& Model::warning() const noexcept {
    return session_->engine->warning;
}
const std::vector<InputInfo>& Model::inputs() const noexcept {
    return session_->manifest.inputs;
}
const std::vector<OutputInfo>& Model::outputs() const noexcept {
    return session_->manifest.outputs;
}
const std::vector<std::string>& Model::labels() const noexcept {
    return session_->labels;
}

}  // namespace kexport
