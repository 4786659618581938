#include "ort_binding.hpp"

#include <stdexcept>

#include "errors.hpp"
#include "ort_tensors.hpp"
#include "text.hpp"

namespace kexport {

OrtTensors::OrtTensors(const OrtModel& model, const std::vector<const char*>& names_of_all)
    : model_(model), every_name_(names_of_all), held_(names_of_all.size()) {
    names.reserve(held_.size());
    values.reserve(held_.size());
}

OrtValue* OrtTensors::value(Held& held, DType dtype, void* data, const Shape& shape) const {
    if (held.value == nullptr || held.data != data || held.shape != shape) {
        const OrtApi* api = model_.api;
        OrtValue* made = nullptr;
        const auto bytes = static_cast<std::size_t>(shape.elements()) * bytes_of(dtype);
        held.value.reset();
        ort_check(
            api, api->CreateTensorWithDataAsOrtValue(model_.memory.get(), data, bytes, shape.data(),
                                                     shape.rank(), ort_type(dtype), &made));
        held = {OrtHandle<OrtValue>(made, {api}), data, shape};
    }
    return held.value.get();
}

OrtBinding::OrtBinding(const OrtModel& model)
    : model_(model),
      given_(model.inputs.size()),
      inputs_(model, model.inputs),
      outputs_(model, model.outputs) {}

void OrtBinding::bind(const Input* inputs, const Output* outputs) {
    given_.assign(inputs, inputs + given_.size());
    try {
        inputs_.take(inputs);
        outputs_.take(outputs);
    } catch (const std::runtime_error& error) {
        refuse_ort_run(inputs, given_.size(), error.what());
    }
}

void OrtBinding::run() {
    OrtStatus* status =
        model_.api->Run(model_.session.get(), nullptr, inputs_.names.data(), inputs_.values.data(),
                        inputs_.values.size(), outputs_.names.data(), outputs_.values.size(),
                        outputs_.values.data());
    if (status != nullptr)
        refuse_ort_run(given_.data(), given_.size(), ort_failure(model_.api, status).c_str());
}

void refuse_ort_run(const Input* inputs, std::size_t count, const char* reason) {
    std::string given;
    for (std::size_t at = 0; at < count; ++at)
        given += cat(at == 0 ? "" : ", ", described(inputs[at].dtype, inputs[at].shape));
    refuse_input(cat("onnxruntime failed on ", given, ": ", reason),
                 "check the sizes of free dimensions, and that there is enough memory");
}

}  // namespace kexport
