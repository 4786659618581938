/// Verification of a bundle on the machine that runs it: file hashes, then golden outputs; as
/// runtime/verify.py.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "compare.hpp"
#include "errors.hpp"
#include "golden.hpp"
#include "inputs.hpp"
#include "session.hpp"
#include "text.hpp"

namespace kexport {

namespace {

/// Warning for a model.onnx outside the tolerances in a bundle that is meant to run as an engine.
constexpr const char* verify_the_engine =
    "model.onnx ran in ONNX Runtime, whose float16 kernels differ from CPU to CPU; the device runs "
    "the engine, so build and verify that: python build_engine.py --verify";

/// Return the number of golden samples. Throws a Refusal if the arrays do not match the inputs.
std::size_t samples_of(const Arrays& golden, const Manifest& manifest) {
    std::int64_t samples = -1;
    for (const InputInfo& info : manifest.inputs) {
        const Array& array = golden.at(info.name);
        Shape wanted = info.shape;
        const Shape found(array.shape.data(), array.shape.size());
        for (std::size_t axis = 0; axis < wanted.rank() && axis < found.rank(); ++axis)
            if (axis == 0 || wanted[axis] < 0) wanted[axis] = found[axis];
        const bool fits = array.dtype == info.dtype && array.shape.size() == info.shape.rank() &&
                          found == wanted && found.elements() > 0;
        if (!fits || (samples >= 0 && samples != found[0]))
            refuse_bundle(cat("golden.npz does not fit the model: input ", repr(info.name),
                              " takes ", described(info.dtype, info.shape), ", got ",
                              described(array.dtype, found)));
        samples = found[0];
    }
    return static_cast<std::size_t>(samples);
}

/// Return `count` samples of an array, starting with sample `from`; after the last sample comes the
/// first again.
Array batch_of(const Array& array, std::size_t from, std::size_t count) {
    const auto samples = static_cast<std::size_t>(array.shape[0]);
    const std::size_t bytes = array.data.size() / samples;
    Array batch{array.dtype, array.shape, std::vector<unsigned char>(bytes * count)};
    batch.shape[0] = static_cast<std::int64_t>(count);
    for (std::size_t at = 0; at < count; ++at)
        std::memcpy(batch.data.data() + at * bytes,
                    array.data.data() + (from + at) % samples * bytes, bytes);
    return batch;
}

/// Append the samples of another batch.
void append(Array& whole, const Array& part) {
    if (whole.data.empty()) {
        whole = part;
        return;
    }
    if (part.shape.empty() || whole.shape.size() != part.shape.size() ||
        !std::equal(part.shape.begin() + 1, part.shape.end(), whole.shape.begin() + 1))
        refuse_bundle("the outputs of two batches have different sizes");
    whole.shape[0] += part.shape[0];
    whole.data.insert(whole.data.end(), part.data.begin(), part.data.end());
}

/// Drop the outputs of padding samples.
void keep(Array& array, std::size_t samples) {
    const auto there = static_cast<std::size_t>(array.shape.empty() ? 0 : array.shape[0]);
    if (there <= samples) return;
    array.data.resize(array.data.size() / there * samples);
    array.shape[0] = static_cast<std::int64_t>(samples);
}

/// Return the number of samples for each run; all of them if the model's batch is free.
std::size_t batch_size(const Manifest& manifest, std::size_t samples) {
    const std::int64_t batch = manifest.inputs.front().shape[0];
    const bool same = std::all_of(manifest.inputs.begin(), manifest.inputs.end(),
                                  [batch](const auto& info) { return info.shape[0] == batch; });
    const auto size = same && batch > 0 ? static_cast<std::size_t>(batch) : samples;
    for (const OutputInfo& output : manifest.outputs)
        if (size != samples && (output.shape.rank() == 0 || output.shape[0] != batch))
            refuse_bundle(cat("golden.npz does not fit the model: got ", samples,
                              " samples, but the model takes ", size, " at a time"));
    return size;
}

Arrays run_all(const Session& session, const Arrays& golden, std::size_t samples) {
    const std::vector<InputInfo>& infos = session.manifest.inputs;
    const std::size_t size = batch_size(session.manifest, samples);
    Arrays outputs;
    for (std::size_t from = 0; from < samples; from += size) {
        std::vector<Array> batches;
        std::vector<Input> inputs;
        for (const InputInfo& info : infos)
            batches.push_back(batch_of(golden.at(info.name), from, size));
        for (std::size_t at = 0; at < infos.size(); ++at)
            inputs.emplace_back(infos[at].name, infos[at].dtype, batches[at].data.data(),
                                Shape(batches[at].shape.data(), batches[at].shape.size()));
        for (const auto& [name, array] : session.engine->run(inputs.data()))
            append(outputs[name], array);
    }
    if (samples % size != 0)
        for (auto& [name, array] : outputs) keep(array, samples);
    return outputs;
}

/// Measure the difference of outputs from Keras', and from the quantised graph's if recorded.
std::vector<Row> distances(const Manifest& manifest, const Arrays& given, const Arrays& golden) {
    std::vector<Row> rows;
    for (const std::string_view reference : manifest.references()) {
        Arrays answers;
        for (const OutputInfo& output : manifest.outputs)
            answers[output.name] = golden.at(cat(reference, output.name));
        for (Row& row : differences(manifest.outputs, given, answers)) {
            row.name.insert(0, reference);
            rows.push_back(std::move(row));
        }
    }
    return rows;
}

Verification verified(const Session& session, const std::filesystem::path& bundle) {
    const Manifest& manifest = session.manifest;
    const Arrays golden = read_golden(bundle, manifest);
    const std::size_t samples = samples_of(golden, manifest);
    Arrays outputs;
    try {
        outputs = run_all(session, golden, samples);
    } catch (const Refusal& refusal) {
        if (refusal.fault.status != Status::bad_input) throw;
        refuse_bundle(cat("golden.npz does not fit the model: ", refusal.fault.message));
    }
    Verification found{manifest.model,
                       manifest.target,
                       session.engine->name,
                       session.engine->warning,
                       manifest.files.size(),
                       samples,
                       distances(manifest, outputs, golden)};
    for (Row& row : found.rows) {
        const auto stated = manifest.tolerances.find(row.name);
        if (stated == manifest.tolerances.end())
            refuse_bundle(
                cat("the manifest states no tolerance for ", repr(row.name), " in parity.outputs"));
        row.tolerance = stated->second;
    }
    const bool in_onnxruntime = found.engine.rfind("onnxruntime ", 0) == 0;
    if (!found.passed() && manifest.builds_engine && in_onnxruntime && found.warning.empty())
        found.warning = verify_the_engine;
    return found;
}

std::string line(const Row& row, int width) {
    char top1[16] = "-";
    if (row.top1_agreement) std::snprintf(top1, sizeof top1, "%.1f%%", *row.top1_agreement * 100.0);
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "  %9.2e  %9.2e  %9.2e  %6s  ", row.max_abs, row.error,
                  row.tolerance, top1);
    const std::string name = printable(row.name);
    const auto gap = static_cast<std::size_t>(width) - name.size();
    return cat(name, std::string(gap, ' '), numbers, row.passed() ? "ok" : "FAILED");
}

}  // namespace

bool Verification::passed() const noexcept {
    return std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.passed(); });
}

std::string to_string(const Verification& found) {
    std::size_t width = std::strlen("output");
    for (const Row& row : found.rows) width = std::max(width, printable(row.name).size());
    std::string text =
        cat(printable(cat(found.model, " for ", found.target)), ": ",
            found.passed() ? "passed" : "FAILED", "\n", found.files, " files match their SHA-256; ",
            found.samples, " samples on ", printable(found.engine), "\n\noutput",
            std::string(width - std::strlen("output"), ' '),
            "    max abs      error  tolerance   top-1");
    for (const Row& row : found.rows) text += cat("\n", line(row, static_cast<int>(width)));
    return text;
}

Result<Verification> verify(const std::string& bundle, const Options& options) noexcept {
    return guarded<Verification>([&] { return verified(*open_session(bundle, options), bundle); });
}

}  // namespace kexport
