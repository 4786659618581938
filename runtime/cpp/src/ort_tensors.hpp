/// Conversions between ONNX Runtime's tensors and types and the runtime's own.
#pragma once

#include "array.hpp"
#include "manifest.hpp"
#include "ort_api.hpp"

namespace kexport {

OrtElement ort_type(DType dtype) noexcept;

/// Copy a tensor. Throws std::runtime_error for a type that DType does not have.
Array array_of(const OrtApi* api, OrtValue* value);

/// Compare a model's inputs and outputs with the manifest. Throws a Refusal for the first
/// difference.
void check_tensors(const OrtApi* api, const OrtSession* session, const Manifest& manifest);

}  // namespace kexport
