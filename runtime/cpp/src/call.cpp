#include "call.hpp"

#include "inputs.hpp"

namespace kexport {

namespace {

template <class Tensor>
bool same(const std::vector<Tensor>& asked, const Tensor* given, std::size_t count) noexcept {
    if (asked.size() != count) return false;
    for (std::size_t at = 0; at < count; ++at)
        if (asked[at].data != given[at].data || asked[at].dtype != given[at].dtype ||
            asked[at].shape != given[at].shape || asked[at].name != given[at].name)
            return false;
    return true;
}

/// Keep tensors that fit, under the manifest's names: the caller's live only as long as its call.
template <class Tensor, class Info>
void keep(const Tensor* given, std::size_t count, const std::vector<Info>& infos,
          std::vector<Tensor>& asked) {
    asked.assign(given, given + count);
    for (Tensor& tensor : asked)
        for (const Info& info : infos)
            if (info.name == tensor.name) tensor.name = info.name;
}

}  // namespace

Request::Request(const Manifest& manifest, const Engine& engine)
    : binding_(engine.binding()),
      inputs_(manifest.inputs.size()),
      outputs_(manifest.outputs.size()) {
    asked_inputs_.reserve(inputs_.size());
    asked_outputs_.reserve(outputs_.size());
}

bool Request::is(const Input* inputs, std::size_t input_count, const Output* outputs,
                 std::size_t output_count) const noexcept {
    return bound_ && same(asked_inputs_, inputs, input_count) &&
           same(asked_outputs_, outputs, output_count);
}

void Request::become(const Manifest& manifest, const Input* inputs, std::size_t input_count,
                     const Output* outputs, std::size_t output_count) {
    bound_ = false;
    fit_inputs(inputs, input_count, manifest.inputs, inputs_.data());
    fit_outputs(outputs, output_count, manifest.outputs, outputs_.data());
    binding_->bind(inputs_.data(), outputs_.data());
    keep(inputs, input_count, manifest.inputs, asked_inputs_);
    keep(outputs, output_count, manifest.outputs, asked_outputs_);
    bound_ = true;
}

Call::Call(const Manifest& manifest, const Engine& engine) : manifest_(&manifest) {
    requests_.reserve(remembered);
    while (requests_.size() < remembered) requests_.emplace_back(manifest, engine);
}

void Call::run(const Input* inputs, std::size_t input_count, const Output* outputs,
               std::size_t output_count) {
    for (Request& request : requests_)
        if (request.is(inputs, input_count, outputs, output_count)) return request.run();
    Request& request = requests_[oldest_];
    oldest_ = (oldest_ + 1) % remembered;
    request.become(*manifest_, inputs, input_count, outputs, output_count);
    request.run();
}

}  // namespace kexport
