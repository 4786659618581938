#include "binding_cache.hpp"

#include "inputs.hpp"

namespace kexport {

namespace {

template <class Tensor>
bool same(const std::vector<Tensor>& kept, const Tensor* given, std::size_t count) noexcept {
    if (kept.size() != count) return false;
    for (std::size_t at = 0; at < count; ++at)
        if (kept[at].data != given[at].data || kept[at].dtype != given[at].dtype ||
            kept[at].shape != given[at].shape || kept[at].name != given[at].name)
            return false;
    return true;
}

/// Keep tensors that fit, under the manifest's names: the caller's live only as long as its call.
template <class Tensor, class Info>
void keep(const Tensor* given, std::size_t count, const std::vector<Info>& infos,
          std::vector<Tensor>& kept) {
    kept.assign(given, given + count);
    for (Tensor& tensor : kept)
        for (const Info& info : infos)
            if (info.name == tensor.name) tensor.name = info.name;
}

}  // namespace

CachedBinding::CachedBinding(const Manifest& manifest, const Engine& engine)
    : binding_(engine.binding()),
      inputs_(manifest.inputs.size()),
      outputs_(manifest.outputs.size()) {
    given_inputs_.reserve(inputs_.size());
    given_outputs_.reserve(outputs_.size());
}

bool CachedBinding::matches(const Input* inputs, std::size_t input_count, const Output* outputs,
                            std::size_t output_count) const noexcept {
    return bound_ && same(given_inputs_, inputs, input_count) &&
           same(given_outputs_, outputs, output_count);
}

void CachedBinding::rebind(const Manifest& manifest, const Input* inputs, std::size_t input_count,
                           const Output* outputs, std::size_t output_count) {
    bound_ = false;
    fit_inputs(inputs, input_count, manifest.inputs, inputs_.data());
    fit_outputs(outputs, output_count, manifest.outputs, outputs_.data());
    binding_->bind(inputs_.data(), outputs_.data());
    keep(inputs, input_count, manifest.inputs, given_inputs_);
    keep(outputs, output_count, manifest.outputs, given_outputs_);
    bound_ = true;
}

BindingCache::BindingCache(const Manifest& manifest, const Engine& engine) : manifest_(&manifest) {
    bindings_.reserve(capacity);
    while (bindings_.size() < capacity) bindings_.emplace_back(manifest, engine);
}

void BindingCache::run(const Input* inputs, std::size_t input_count, const Output* outputs,
                       std::size_t output_count) {
    for (CachedBinding& binding : bindings_)
        if (binding.matches(inputs, input_count, outputs, output_count)) return binding.run();
    CachedBinding& binding = bindings_[oldest_];
    oldest_ = (oldest_ + 1) % capacity;
    binding.rebind(*manifest_, inputs, input_count, outputs, output_count);
    binding.run();
}

}  // namespace kexport
