/// The C++17 runtime of a bundle: tensors in, tensors out; or an image in, the answer of its task.
///
///     auto opened = kexport::Model::open("inception_v3-cpu-fp32");
///     if (!opened) return report(opened.fault());
///     kexport::Model model = std::move(*opened);
///
///     auto best = model.classify(pixels, width, height, stride, kexport::PixelFormat::bgr);
///     for (const kexport::Prediction& found : *best) use(found.label, found.score);
///
/// Preprocessing is inside the model, so pixels go in as a camera or decoder delivers them. Nothing
/// throws: functions that can fail return a `Result`, whose `Fault` says what happened and what to
/// do next.
///
/// Threads: one `Model` serves any number of threads, which may call const members at the same
/// time. Until a call returns, no other thread may touch the memory that it reads or writes.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kexport_answers.hpp"
#include "kexport_tensors.hpp"

namespace kexport {

/// The kind of a fault. The value is the exit status of a program that fails with it, the same as
/// in Python.
enum class Status : int {
    failed = 1,           ///< any other fault, such as too little memory
    parity_failed = 12,   ///< outputs outside the tolerances (only as a program's exit status)
    bundle_refused = 14,  ///< the folder is not a bundle, or its files do not match its manifest
    bad_image = 15,       ///< an image is missing, damaged, or not an image
    bad_input = 16,       ///< a tensor, a name or a number is not valid for the model or the call
    engine_missing = 17,  ///< a library that the bundle needs cannot be loaded
};

/// A fault. Both strings are in lower case and have no full stop.
struct Fault {
    Status status = Status::failed;
    std::string message;  ///< what happened, and to what
    std::string hint;     ///< what to do next; may be empty
};

/// A value, or the fault that prevented it. Test it before you use either.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : held_(std::move(value)) {}
    Result(Fault fault) : held_(std::move(fault)) {}

    explicit operator bool() const noexcept { return held_.index() == 0; }
    T& operator*() & noexcept { return *std::get_if<0>(&held_); }
    const T& operator*() const& noexcept { return *std::get_if<0>(&held_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&held_)); }
    T* operator->() noexcept { return std::get_if<0>(&held_); }
    const T* operator->() const noexcept { return std::get_if<0>(&held_); }
    const Fault& fault() const noexcept { return *std::get_if<1>(&held_); }

  private:
    std::variant<T, Fault> held_;
};

/// Success, or the fault that prevented it.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Fault fault) : fault_(std::move(fault)) {}

    explicit operator bool() const noexcept { return !fault_; }
    const Fault& fault() const noexcept { return *fault_; }

  private:
    std::optional<Fault> fault_;
};

/// How an image of another size becomes the model's before the graph: a library and its filter, and
/// "stretch", "crop" or "pad" (docs/image-input.md of kexport).
struct Resize {
    std::string method = "pil-nearest";
    std::string fit = "stretch";
};

/// One input of the model. An image has a `color` ("RGB", "BGR", "RGBA", "BGRA", "GRAY", "NV12",
/// "YUYV") and a `layout` ("NHWC", "NCHW"), and its values are 0..255; for a plain tensor both are
/// empty. `resize` has no meaning where the model takes images of any size.
struct InputInfo {
    std::string name;
    DType dtype;
    Shape shape;
    std::string layout;
    std::string color;
    Resize resize;
};

/// One output of the model. `kind` is "probabilities", "logits", "features" or "tensor". A model
/// that returns its best classes has "indices" and "scores"; for these two, `of` is "probabilities"
/// or "logits" and `classes` the number of classes ranked. `layer` is the Keras layer.
struct OutputInfo {
    std::string name;
    DType dtype;
    Shape shape;
    std::string kind;
    std::string layer;
    std::string of;
    std::int64_t classes = 0;
};

/// What the outputs are for, as the manifest's entry `task` says: "classify", "binary",
/// "multilabel", "segment", "detect", "regress", "embed", "image" or "raw". `outputs` are those that
/// the task reads. `from_logits` says that scores still need their softmax (classify) or sigmoid;
/// `threshold` is the least score that means yes (binary, multilabel, and segment with one channel).
struct TaskInfo {
    std::string name;
    std::vector<std::string> outputs;
    bool from_logits = false;
    double threshold = 0.5;
    bool has_threshold = false;
    std::string box_format = {};  ///< detect: "xyxy", "xywh", "cxcywh" or "yxyx"
    bool relative = false;        ///< detect: boxes are relative to the model's frame, not pixels
    double iou = 0.5;             ///< detect: the largest overlap of two boxes of one class
    std::vector<Color> palette = {};       ///< segment: the classes' colours, if the user chose some
    double least = 0.0, largest = 1.0;  ///< image: the values of black and of white
};

/// The memory layout of pixels for `classify` and `predict`, 8 bits per value. rgb to gray: rows of
/// interleaved pixels. nv12: `height` rows of Y, then height / 2 rows of interleaved U and V, all
/// with the same stride. yuyv: rows of Y U Y V.
enum class PixelFormat : std::uint8_t { rgb, bgr, rgba, bgra, gray, nv12, yuyv };

/// A view of an image in the caller's memory, of any size and format. `stride` is the bytes from one
/// row to the next, 0 for rows without padding. The view owns nothing; the pixels must outlive the
/// call that takes it.
struct ImageView {
    const std::uint8_t* pixels = nullptr;
    int width = 0, height = 0;
    std::size_t stride = 0;
    PixelFormat format = PixelFormat::rgb;
};

/// The device and engine that run the model. `bundle`: engine.plan in TensorRT if it has been built
/// and loads, otherwise model.onnx in ONNX Runtime, on CUDA for a bundle that was exported for it
/// and on the CPU for others. If the first choice does not load, the next one runs, and
/// `Model::warning` says so. `cpu`, `cuda`: model.onnx on that device. `tensorrt`: engine.plan, or
/// a fault (needs a build with KEXPORT_TENSORRT).
enum class Device : std::uint8_t { bundle, cpu, cuda, tensorrt };

struct Options {
    int threads = 0;  ///< threads within an operation; 0 leaves it to the engine
    Device device = Device::bundle;
    bool check_files = true;  ///< first compare files with the manifest's sizes and SHA-256
    /// ONNX Runtime's library: a file, or a folder that holds it. If empty, the environment
    /// variable KEXPORT_ONNXRUNTIME; otherwise the usual install locations (docs/cpp.md).
    std::string onnxruntime = {};
};

struct Session;

/// A model that is ready to run. Movable; opening is slow, so open it once and share it.
class Model {
  public:
    /// Open the bundle in a folder: validate manifest.json, compare the files with it, load the
    /// model. Faults: bundle_refused, engine_missing; bad_input for invalid options.
    static Result<Model> open(const std::string& bundle, const Options& options = {}) noexcept;

    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;
    ~Model();

    /// Run the model once on a batch of exactly its batch size (`inputs()`; any size if that is
    /// -1). Every input must be given, and at least one output. Dtypes and sizes must be exactly
    /// those of the manifest; a free size of an output must be the size that results from these
    /// inputs. For a CPU engine nothing is copied, and after the first call the runtime allocates
    /// nothing. Faults: bad_input; the outputs' content is then undefined.
    Result<void> run(const Input* inputs, std::size_t input_count, const Output* outputs,
                     std::size_t output_count) const noexcept;
    Result<void> run(std::initializer_list<Input> inputs,
                     std::initializer_list<Output> outputs) const noexcept {
        return run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size());
    }

    /// Classify an image: return the `k` best classes (or all, if fewer), best first. 0 means 5, or
    /// the number of classes that the model returns, if that is less.
    ///
    /// `stride` is the bytes from one row to the next, 0 for rows without padding. The image may
    /// have any size and format. Unless the model resizes images itself, it is resized as the
    /// manifest says (`inputs()[0].resize`), as for the images that the model was trained on, and
    /// then converted to the format, layout and dtype of the model's input; an image that already
    /// has these is not copied. nv12 and yuyv need a model with an input of that format and size.
    /// Scores are probabilities, or the softmax of logits. For the task multilabel the classes are
    /// the labels, each with its own score; for binary they are yes (index 1) and no, whose scores
    /// add up to 1. Faults: bad_input.
    Result<std::vector<Prediction>> classify(const std::uint8_t* pixels, int width, int height,
                                             std::size_t stride, PixelFormat format,
                                             std::size_t k = 0) const noexcept;

    /// Classify several images, as many at a time as the model takes; the answers are in their
    /// order. A model with a dynamic batch gets all at once. For a fixed batch, the last one is
    /// filled up with repeated images. Where a model takes images of any size, they must have one
    /// size. Faults: bad_input.
    Result<std::vector<std::vector<Prediction>>> classify(const std::vector<ImageView>& images,
                                                          std::size_t k = 0) const noexcept;

    /// Answer for an image by the bundle's task. The image is as for `classify`. Faults: bad_input,
    /// also for a setting that is out of range or that the task has no use for.
    Result<Answer> predict(const std::uint8_t* pixels, int width, int height, std::size_t stride,
                           PixelFormat format, const Settings& settings = {}) const noexcept;

    /// Answer for several images, in batches as for `classify`. Faults: bad_input.
    Result<std::vector<Answer>> predict(const std::vector<ImageView>& images,
                                        const Settings& settings = {}) const noexcept;

    const TaskInfo& task() const noexcept;        ///< what the outputs are for
    const std::string& name() const noexcept;     ///< the model's name, such as "inception_v3"
    const std::string& target() const noexcept;   ///< the export target, such as "cpu-fp32"
    const std::string& engine() const noexcept;   ///< the engine: library, version, device
    const std::string& warning() const noexcept;  ///< why a first choice did not load, or empty
    const std::vector<InputInfo>& inputs() const noexcept;
    const std::vector<OutputInfo>& outputs() const noexcept;
    const std::vector<std::string>& labels() const noexcept;  ///< empty if not known

  private:
    explicit Model(std::unique_ptr<Session> session) noexcept;
    std::unique_ptr<Session> session_;
};

/// One measured quantity. The reference is the output of Keras or, if `name` begins with "graph:",
/// that of the quantised graph, computed without fusion. `max_abs` is the largest absolute
/// difference, `error` the same relative to the standard deviation of the reference;
/// `top1_agreement` is the share of samples with the same best class, for class scores.
struct Row {
    std::string name;
    double max_abs = 0.0;
    double error = 0.0;
    double tolerance = 0.0;
    std::optional<double> top1_agreement;

    /// Whether the error is a finite number within the tolerance.
    bool passed() const noexcept { return std::isfinite(error) && error <= tolerance; }
};

/// Read a gallery that `Gallery.save` in Python wrote: an .npz file with `names` and `vectors`.
/// Faults: bad_input for a file that is none.
Result<Gallery> read_gallery(const std::string& path) noexcept;

/// The result of `verify`.
struct Verification {
    std::string model, target, engine, warning;
    std::size_t files = 0;    ///< number of files that match their SHA-256
    std::size_t samples = 0;  ///< number of golden samples that were run
    std::vector<Row> rows;

    bool passed() const noexcept;
};

/// Check a bundle's hashes, run its golden samples, and compare the outputs with the references.
/// Outputs outside the tolerances are not a fault: the Verification has not passed. Faults as
/// Model::open, and bundle_refused if golden.npz does not fit the model.
Result<Verification> verify(const std::string& bundle, const Options& options = {}) noexcept;

/// Format the table that the programs print, in plain text, without a final line break.
std::string to_string(const Verification& verification);

}  // namespace kexport
