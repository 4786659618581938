/// The members of the public class Model, on a Session; as runtime/session.py.
#include "session.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "classes.hpp"
#include "errors.hpp"
#include "file_hashes.hpp"
#include "image.hpp"
#include "inputs.hpp"
#include "labels.hpp"
#include "predict.hpp"
#include "regress.hpp"
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

void check_pixels(const Pixels& pixels) {
    if (pixels.data == nullptr || pixels.width < 1 || pixels.height < 1)
        refuse_input(cat("an image of ", pixels.height, " x ", pixels.width, " has no pixels"),
                     "pass a pointer, and a width and height of 1 or more");
    const std::size_t row = row_bytes(pixels.format, pixels.width);
    if (pixels.stride < row)
        refuse_input(cat("a stride of ", pixels.stride, " is less than a row of ", row, " bytes"),
                     "pass the bytes from one row to the next, or 0");
}

Pixels pixels_of(const ImageView& image) {
    const std::size_t row = row_bytes(image.format, std::max(image.width, 0));
    return {image.pixels, image.width, image.height, image.stride != 0 ? image.stride : row,
            image.format};
}

/// Convert images to samples, and join them as one batch of `batch` samples. The batch is filled up
/// with repeated samples.
ImageSample joined(const ImageView* images, std::size_t count, std::size_t batch,
                   const InputInfo& input) {
    ImageSample first = image_sample(pixels_of(images[0]), input);
    if (batch == 1) return first;
    const auto bytes = static_cast<std::size_t>(first.shape.elements()) * bytes_of(input.dtype);
    ImageSample all;
    all.shape = first.shape;
    all.shape[0] = static_cast<std::int64_t>(batch);
    if (all.shape.elements() < 0) throw std::bad_alloc();  // its bytes would overflow
    all.held.resize(bytes * batch);
    all.data = all.held.data();
    std::memcpy(all.held.data(), first.data, bytes);
    for (std::size_t at = 1; at < count; ++at) {
        const ImageSample next = image_sample(pixels_of(images[at]), input);
        if (next.shape != first.shape)
            refuse_input(cat("the images have different sizes: ",
                             described(input.dtype, first.shape), ", ",
                             described(input.dtype, next.shape)),
                         "give images of one size in a call, or one at a time");
        std::memcpy(all.held.data() + at * bytes, next.data, bytes);
    }
    for (std::size_t at = count; at < batch; ++at)
        std::memcpy(all.held.data() + at * bytes, all.held.data() + (at - count) * bytes, bytes);
    return all;
}

/// Return an output's values for one sample of a batch.
Array row_of(const Array& output, std::size_t row, std::size_t batch) {
    Array one{output.dtype, output.shape, {}};
    const std::size_t bytes = output.data.size() / batch;
    const auto start = output.data.begin() + static_cast<std::ptrdiff_t>(row * bytes);
    one.data.assign(start, start + static_cast<std::ptrdiff_t>(bytes));
    one.shape[0] = 1;
    return one;
}

/// Add the outputs for each of the first `count` samples of a batch to `each`.
void split(Arrays& outputs, std::size_t count, std::size_t batch, const TaskInfo& task,
           std::vector<Arrays>& each) {
    const auto has_rows = [&](const Array& output) {
        return !output.shape.empty() && output.shape[0] == static_cast<std::int64_t>(batch);
    };
    for (const auto& [name, output] : outputs) {
        const bool is_read = task.outputs.empty() || std::count(task.outputs.begin(),
                                                                task.outputs.end(), name) > 0;
        if (is_read && !has_rows(output))
            refuse_input(cat("the output ", name, " has no row for each of ", batch, " images"),
                         use_run);
    }
    if (batch == 1) {
        each.push_back(std::move(outputs));
        return;
    }
    for (std::size_t row = 0; row < count; ++row) {
        Arrays one;
        for (const auto& [name, output] : outputs)
            if (has_rows(output)) one.emplace(name, row_of(output, row, batch));
        each.push_back(std::move(one));
    }
}

/// Run the model on images, as many at a time as it takes, and return the outputs for each.
std::vector<Arrays> outputs_of(const Session& session, const std::vector<ImageView>& images) {
    const InputInfo& input = image_input(session.manifest);
    for (const ImageView& image : images) check_pixels(pixels_of(image));
    std::vector<Arrays> each;
    const std::int64_t stated = input.shape[0];
    const std::size_t batch = stated > 0 ? static_cast<std::size_t>(stated) : images.size();
    for (std::size_t at = 0; at < images.size(); at += batch) {
        const std::size_t count = std::min(batch, images.size() - at);
        const ImageSample sample = joined(images.data() + at, count, batch, input);
        const Input given(input.name, input.dtype, sample.data, sample.shape);
        Input fitted;
        fit_inputs(&given, 1, session.manifest.inputs, &fitted);
        Arrays outputs = session.engine->run(&fitted);
        split(outputs, count, batch, session.manifest.task, each);
    }
    return each;
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

/// Read the outputs for one image as at most `count` classes, best first.
std::vector<Prediction> classes_of(const Session& session, const Arrays& outputs,
                                   std::size_t count) {
    const TaskInfo& task = session.manifest.task;
    std::vector<double> values = first_sample(outputs.at(task.outputs.front()));
    if (const OutputInfo* indices = output_of(session.manifest, "indices"))
        return picked(session, first_sample(outputs.at(indices->name)), values, count);
    if (task.name == "classify")
        return best_classes(std::move(values), task, session.labels, count);
    std::vector<Prediction> found = task.name == "binary"
                                        ? yes_and_no(values, task, session.labels)
                                        : all_labels(std::move(values), task, session.labels);
    if (found.size() > count) found.resize(count);
    return found;
}

std::vector<std::vector<Prediction>> classified(const Session& session,
                                                const std::vector<ImageView>& images,
                                                std::size_t k) {
    const Manifest& manifest = session.manifest;
    image_input(manifest);
    if (!is_labelled(manifest.task)) {
        std::string listed;
        for (const OutputInfo& output : manifest.outputs)
            listed += cat(listed.empty() ? "" : ", ", output.name, " (", output.kind, ")");
        refuse_input(cat("the model returns no class scores: its outputs are ", listed),
                     cat("use predict(), whose answer is that of the task ", manifest.task.name));
    }
    const OutputInfo* indices = output_of(manifest, "indices");
    const std::int64_t gives =
        indices != nullptr && indices->shape.rank() == 2 ? indices->shape[1] : -1;
    if (gives >= 0 && k > static_cast<std::size_t>(gives))
        refuse_input(
            cat("the model returns its ", gives, " best classes, but ", k, " were requested"),
            cat("request ", gives, " or fewer, or export with a larger --top-k"));
    std::vector<std::vector<Prediction>> found;
    for (const Arrays& outputs : outputs_of(session, images))
        found.push_back(classes_of(session, outputs, k > 0 ? k : top_k));
    return found;
}

std::vector<Answer> answered(const Session& session, const std::vector<ImageView>& images,
                             const Settings& settings) {
    const TaskInfo& task = session.manifest.task;
    check_settings(settings, task);
    std::vector<Answer> found;
    if (task.name == "classify") {
        for (std::vector<Prediction>& best : classified(session, images, settings.top_k))
            found.emplace_back(std::move(best));
        return found;
    }
    const std::vector<Arrays> each = outputs_of(session, images);
    for (std::size_t at = 0; at < each.size(); ++at) {
        if (task.name == "raw") {
            found.emplace_back(raw_outputs(each[at], session.manifest.outputs));
            continue;
        }
        const Placement placement =
            placement_of(session.manifest, images[at].height, images[at].width);
        found.push_back(answer(task, each[at], session.labels, settings, placement));
    }
    return found;
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
        return classified(*session_, {{pixels, width, height, stride, format}}, k).front();
    });
}

Result<std::vector<std::vector<Prediction>>> Model::classify(const std::vector<ImageView>& images,
                                                             std::size_t k) const noexcept {
    return guarded<std::vector<std::vector<Prediction>>>(
        [&] { return classified(*session_, images, k); });
}

Result<Answer> Model::predict(const std::uint8_t* pixels, int width, int height, std::size_t stride,
                              PixelFormat format, const Settings& settings) const noexcept {
    return guarded<Answer>([&]() -> Answer {
        return answered(*session_, {{pixels, width, height, stride, format}}, settings).front();
    });
}

Result<std::vector<Answer>> Model::predict(const std::vector<ImageView>& images,
                                           const Settings& settings) const noexcept {
    return guarded<std::vector<Answer>>([&] { return answered(*session_, images, settings); });
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
