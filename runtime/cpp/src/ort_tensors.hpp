/// ONNX Runtime's tensors and types beside ours.
#pragma once

#include <onnxruntime_c_api.h>

#include "array.hpp"
#include "manifest.hpp"

namespace kexport {

ONNXTensorElementDataType ort_type(DType dtype) noexcept;

/// A copy of a tensor. Throws std::runtime_error for a type that is none of ours.
Array array_of(const OrtApi* api, OrtValue* value);

/// Hold a model's inputs and outputs to the manifest. Throws a Refusal for the first that differs.
void check_tensors(const OrtApi* api, const OrtSession* session, const Manifest& manifest);

}  // namespace kexport
