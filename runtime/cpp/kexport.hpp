/// Run a bundle that kexport wrote, from C++17: tensors in, tensors out; or an image in, labels
/// out.
///
///     auto opened = kexport::Model::open("inception_v3-cpu-fp32");
///     if (!opened) return report(opened.fault());
///     kexport::Model model = std::move(*opened);
///
///     auto best = model.classify(pixels, width, height, stride, kexport::PixelFormat::bgr);
///     for (const kexport::Prediction& found : *best) use(found.label, found.score);
///
/// Preprocessing is inside the model, so pixels go in as a camera or decoder gives them. Nothing
/// here throws: what can fail returns a `Result`, and a `Fault` says what happened and what to do.
///
/// Threads: one `Model` serves any number of threads. Every member that is const may be called from
/// several at once; memory that a call reads or writes must be left alone by others until it
/// returns.
#pragma once

#include <array>
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

namespace kexport {

/// What kind of fault it was; the value is the exit status of a program that ends with it, the same
/// as in Python.
enum class Status : int {
    failed = 1,           ///< something that has no number of its own, such as too little memory
    parity_failed = 12,   ///< the outputs are not what Keras gave (the programs' status only)
    bundle_refused = 14,  ///< the folder is no bundle, or its files are not what its manifest says
    bad_image = 15,     ///< an image is missing, damaged, or not an image
    bad_input = 16,       ///< a tensor, a name or a number that the model or the call cannot take
    engine_missing = 17,  ///< a library that the bundle needs cannot be loaded
};

/// What went wrong. Both texts are lower case and without a full stop.
struct Fault {
    Status status = Status::failed;
    std::string message;  ///< what happened, and to what
    std::string hint;     ///< what to do next; may be empty
};

/// A value, or the fault that kept it from being there. Test it before you take either.
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

/// Element types, by their NumPy names (`boolean` is "bool").
enum class DType : std::uint8_t {
    boolean,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64
};

const char* name_of(DType dtype) noexcept;
std::size_t bytes_of(DType dtype) noexcept;

/// The DType of a C++ type; float16, which C++17 has no type for, is named explicitly.
template <class T>
inline constexpr DType dtype_of = static_cast<DType>(255);
// clang-format off
template <> inline constexpr DType dtype_of<bool> = DType::boolean;
template <> inline constexpr DType dtype_of<std::uint8_t> = DType::uint8;
template <> inline constexpr DType dtype_of<std::uint16_t> = DType::uint16;
template <> inline constexpr DType dtype_of<std::uint32_t> = DType::uint32;
template <> inline constexpr DType dtype_of<std::uint64_t> = DType::uint64;
template <> inline constexpr DType dtype_of<std::int8_t> = DType::int8;
template <> inline constexpr DType dtype_of<std::int16_t> = DType::int16;
template <> inline constexpr DType dtype_of<std::int32_t> = DType::int32;
template <> inline constexpr DType dtype_of<std::int64_t> = DType::int64;
template <> inline constexpr DType dtype_of<float> = DType::float32;
template <> inline constexpr DType dtype_of<double> = DType::float64;
// clang-format on

/// Sizes of a tensor, the batch first: at most 8, held in place. -1 stands for a free size where a
/// model's shape is described, and is refused where a tensor is given.
class Shape {
  public:
    static constexpr std::size_t max_rank = 8;

    Shape() = default;
    Shape(std::initializer_list<std::int64_t> sizes) noexcept
        : Shape(sizes.begin(), sizes.size()) {}
    Shape(const std::int64_t* sizes, std::size_t rank) noexcept;  ///< keeps the first 8

    std::size_t rank() const noexcept { return rank_; }
    const std::int64_t* data() const noexcept { return sizes_.data(); }
    const std::int64_t* begin() const noexcept { return data(); }
    const std::int64_t* end() const noexcept { return data() + rank_; }
    std::int64_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }
    std::int64_t& operator[](std::size_t axis) noexcept { return sizes_[axis]; }
    /// Product of the sizes; -1 where one is free or the product does not fit.
    std::int64_t elements() const noexcept;

    friend bool operator==(const Shape& a, const Shape& b) noexcept;
    friend bool operator!=(const Shape& a, const Shape& b) noexcept { return !(a == b); }

  private:
    std::array<std::int64_t, max_rank> sizes_{};
    std::size_t rank_ = 0;
};

/// A tensor in the caller's memory, to be read: row-major, without gaps, aligned for its type, in
/// main memory. The view owns nothing; name and data outlive the call it is given to.
struct Input {
    std::string_view name;
    DType dtype = DType::uint8;
    const void* data = nullptr;
    Shape shape;

    Input() = default;
    Input(std::string_view n, DType t, const void* d, const Shape& s)
        : name(n), dtype(t), data(d), shape(s) {}
    template <class T>
    Input(std::string_view n, const T* d, const Shape& s) : Input(n, dtype_of<T>, d, s) {
        static_assert(dtype_of<T> <= DType::float64, "not the type of a tensor's elements");
    }
};

/// A tensor in the caller's memory, to be written; otherwise as Input.
struct Output {
    std::string_view name;
    DType dtype = DType::float32;
    void* data = nullptr;
    Shape shape;

    Output() = default;
    Output(std::string_view n, DType t, void* d, const Shape& s)
        : name(n), dtype(t), data(d), shape(s) {}
    template <class T>
    Output(std::string_view n, T* d, const Shape& s) : Output(n, dtype_of<T>, d, s) {
        static_assert(dtype_of<T> <= DType::float64, "not the type of a tensor's elements");
    }
};

/// What the model takes under a name. An image has a `color` ("RGB", "BGR", "RGBA", "BGRA",
/// "GRAY", "NV12", "YUYV") and a `layout` ("NHWC", "NCHW"), and its values are 0..255; for a plain
/// tensor both are empty.
struct InputInfo {
    std::string name;
    DType dtype;
    Shape shape;
    std::string layout;
    std::string color;
};

/// What the model gives under a name. `kind` is "probabilities", "logits", "features", "tensor", or
/// for the best classes that a model picks itself "indices" and "scores"; of these two `of` says
/// what was ranked ("probabilities" or "logits") and `classes` among how many. `layer` is Keras'.
struct OutputInfo {
    std::string name;
    DType dtype;
    Shape shape;
    std::string kind;
    std::string layer;
    std::string of;
    std::int64_t classes = 0;
};

/// How the pixels given to `classify` lie in memory, 8 bits a value. rgb to gray: rows of
/// interleaved pixels. nv12: `height` rows of Y, then height / 2 rows of interleaved U and V, all
/// of the same stride. yuyv: rows of Y U Y V.
enum class PixelFormat : std::uint8_t { rgb, bgr, rgba, bgra, gray, nv12, yuyv };

/// One class of an answer: its index in the output, its name ("class 7" without labels), and its
/// score.
struct Prediction {
    std::int64_t index = 0;
    std::string label;
    double score = 0.0;
};

/// What runs the model. `bundle`: engine.plan in TensorRT where it has been built and loads,
/// otherwise model.onnx in ONNX Runtime, on CUDA for a bundle that was made for it and on the CPU
/// for any other. Where what is wanted does not load, the next one runs, and `Model::warning` says
/// so. `cpu`, `cuda`: model.onnx there. `tensorrt`: engine.plan, or a fault (built with
/// KEXPORT_TENSORRT).
enum class Device : std::uint8_t { bundle, cpu, cuda, tensorrt };

struct Options {
    int threads = 0;  ///< threads within an operation; 0 leaves it to the engine
    Device device = Device::bundle;
    bool check_files = true;  ///< hold every file to its size and SHA-256 first
    /// ONNX Runtime's library: a file, or a folder that holds it. Where empty, the environment's
    /// KEXPORT_ONNXRUNTIME; otherwise the places where it is usually installed (docs/cpp.md).
    std::string onnxruntime = {};
};

struct ModelState;

/// A bundle that is ready to run. Movable; opening is slow, so open once and share it.
class Model {
  public:
    /// Open the bundle in a folder: read and check manifest.json, hold the files to it, load the
    /// model. Faults: bundle_refused, engine_missing; bad_input for options that do not fit.
    static Result<Model> open(const std::string& bundle, const Options& options = {}) noexcept;

    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;
    ~Model();

    /// Run the model once on exactly as many samples as it takes at a time (`inputs()`; any number
    /// where the first size is -1). Every input must be given, and at least one output; dtypes and
    /// sizes are exactly those of the manifest, and free sizes of an output are the ones it has for
    /// these inputs. Nothing is copied on the way to a CPU engine, and after the first call nothing
    /// is allocated here. Faults: bad_input; the outputs' content is then undefined.
    Result<void> run(const Input* inputs, std::size_t input_count, const Output* outputs,
                     std::size_t output_count) const noexcept;
    Result<void> run(std::initializer_list<Input> inputs,
                     std::initializer_list<Output> outputs) const noexcept {
        return run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size());
    }

    /// Name what an image shows: the `k` best classes (all, if fewer), best first; 0 means 5, or
    /// as many as the model gives.
    ///
    /// `stride` is the bytes from one row to the next, 0 where rows follow without a gap. The
    /// image may have any size and format: it is resized by nearest pixel as Pillow and
    /// `keras.utils.load_img` do, unless the model resizes, and then put into the order, layout and
    /// dtype that the model takes; one that fits already is not copied. nv12 and yuyv are taken
    /// only by a model of that very format, in its own size. Scores are probabilities, or the
    /// softmax of logits. Faults: bad_input.
    Result<std::vector<Prediction>> classify(const std::uint8_t* pixels, int width, int height,
                                             std::size_t stride, PixelFormat format,
                                             std::size_t k = 0) const noexcept;

    const std::string& name() const noexcept;     ///< the model's name, such as "inception_v3"
    const std::string& target() const noexcept;   ///< what it was made for, such as "cpu-fp32"
    const std::string& engine() const noexcept;   ///< what runs it: library, version, device
    const std::string& warning() const noexcept;  ///< what did not load as wished; usually empty
    const std::vector<InputInfo>& inputs() const noexcept;
    const std::vector<OutputInfo>& outputs() const noexcept;
    const std::vector<std::string>& labels() const noexcept;  ///< empty where not known

  private:
    explicit Model(std::unique_ptr<ModelState> state) noexcept;
    std::unique_ptr<ModelState> state_;
};

/// One measured quantity: how far the outputs lie from Keras', or, where `name` begins with
/// "graph:", from what the quantised graph gives when nothing is fused. `max_abs` is the largest
/// absolute difference, `error` the same over the standard deviation of those answers;
/// `top1_agreement` is the share of samples with the same best class, where there are classes.
struct Row {
    std::string name;
    double max_abs = 0.0;
    double error = 0.0;
    double tolerance = 0.0;
    std::optional<double> top1_agreement;

    /// Whether the error is a finite number within the tolerance.
    bool passed() const noexcept { return std::isfinite(error) && error <= tolerance; }
};

/// What `verify` found.
struct Verification {
    std::string model, target, engine, warning;
    std::size_t files = 0;    ///< how many match their SHA-256
    std::size_t samples = 0;  ///< how many golden samples were run
    std::vector<Row> rows;

    bool passed() const noexcept;
};

/// Prove a bundle again where it lies: its hashes, then its golden outputs. Outputs that lie too
/// far from Keras' or the graph's make a Verification that has not passed; they are no fault.
/// Faults as Model::open, and bundle_refused where golden.npz does not fit the model.
Result<Verification> verify(const std::string& bundle, const Options& options = {}) noexcept;

/// The table that the programs print, in plain text, without a last line break.
std::string to_string(const Verification& verification);

}  // namespace kexport
