#include "ort_tensors.hpp"

#include <cstring>
#include <stdexcept>

#include "errors.hpp"
#include "ort_library.hpp"
#include "text.hpp"

namespace kexport {

namespace {

constexpr OrtElement ort_types[] = {
    OrtElement::boolean, OrtElement::uint8,   OrtElement::uint16,  OrtElement::uint32,
    OrtElement::uint64,  OrtElement::int8,    OrtElement::int16,   OrtElement::int32,
    OrtElement::int64,   OrtElement::float16, OrtElement::float32, OrtElement::float64};

/// A tensor's element type and sizes, -1 if free; no type if DType does not have it.
struct Type {
    const DType* dtype = nullptr;
    std::vector<std::int64_t> shape;
};

constexpr DType dtypes[] = {DType::boolean, DType::uint8,   DType::uint16,  DType::uint32,
                            DType::uint64,  DType::int8,    DType::int16,   DType::int32,
                            DType::int64,   DType::float16, DType::float32, DType::float64};

Type type_of(const OrtApi* api, const OrtTensorTypeAndShapeInfo* info) {
    Type type;
    OrtElement element = OrtElement::undefined;
    std::size_t rank = 0;
    ort_check(api, api->GetTensorElementType(info, &element));
    for (const DType& dtype : dtypes)
        if (ort_type(dtype) == element) type.dtype = &dtype;
    ort_check(api, api->GetDimensionsCount(info, &rank));
    type.shape.resize(rank);
    ort_check(api, api->GetDimensions(info, type.shape.data(), rank));
    return type;
}

/// The inputs or the outputs of a session, as the functions that list them.
struct Side {
    const char* role;
    decltype(OrtApi::SessionGetInputCount) count;
    decltype(OrtApi::SessionGetInputName) name;
    decltype(OrtApi::SessionGetInputTypeInfo) type;
};

std::map<std::string, Type> tensors_of(const OrtApi* api, const OrtSession* session,
                                       const Side& side) {
    OrtAllocator* allocator = nullptr;
    ort_check(api, api->GetAllocatorWithDefaultOptions(&allocator));
    std::size_t count = 0;
    ort_check(api, side.count(session, &count));
    std::map<std::string, Type> tensors;
    for (std::size_t at = 0; at < count; ++at) {
        char* name = nullptr;
        ort_check(api, side.name(session, at, allocator, &name));
        Type& type = tensors[name];
        ort_check(api, api->AllocatorFree(allocator, name));
        OrtTypeInfo* made = nullptr;
        ort_check(api, side.type(session, at, &made));
        const OrtHandle<OrtTypeInfo> held(made, {api});
        const OrtTensorTypeAndShapeInfo* tensor = nullptr;
        ort_check(api, api->CastTypeInfoToTensorInfo(made, &tensor));
        if (tensor != nullptr) type = type_of(api, tensor);
    }
    return tensors;
}

bool agree(const Type& found, DType dtype, const Shape& stated) {
    if (found.dtype == nullptr || *found.dtype != dtype || found.shape.size() != stated.rank())
        return false;
    for (std::size_t axis = 0; axis < stated.rank(); ++axis)
        if (found.shape[axis] >= 0 && stated[axis] >= 0 && found.shape[axis] != stated[axis])
            return false;
    return true;
}

std::string in_words(const Type& type) {
    if (type.dtype == nullptr || type.shape.size() > Shape::max_rank) return "of another type";
    return described(*type.dtype, {type.shape.data(), type.shape.size()});
}

template <class Infos>
void check_side(const std::map<std::string, Type>& tensors, const Infos& infos, const char* role) {
    for (const auto& info : infos) {
        const auto found = tensors.find(info.name);
        if (found == tensors.end())
            refuse_bundle(cat("model.onnx has no ", role, " ", repr(info.name),
                              ", which the manifest lists"));
        if (!agree(found->second, info.dtype, info.shape))
            refuse_bundle(cat(role, " ", repr(info.name), " of model.onnx is ",
                              in_words(found->second), ", and the manifest says ",
                              described(info.dtype, info.shape)));
    }
}

}  // namespace

OrtElement ort_type(DType dtype) noexcept {
    return ort_types[static_cast<std::size_t>(dtype)];
}

Array array_of(const OrtApi* api, OrtValue* value) {
    OrtTensorTypeAndShapeInfo* made = nullptr;
    ort_check(api, api->GetTensorTypeAndShape(value, &made));
    const OrtHandle<OrtTensorTypeAndShapeInfo> held(made, {api});
    const Type type = type_of(api, made);
    std::size_t elements = 0;
    void* data = nullptr;
    ort_check(api, api->GetTensorShapeElementCount(made, &elements));
    if (type.dtype == nullptr) throw std::runtime_error("an output is of another type");
    ort_check(api, api->GetTensorMutableData(value, &data));
    Array array{*type.dtype, type.shape, {}};
    array.data.resize(elements * bytes_of(array.dtype));
    if (elements != 0) std::memcpy(array.data.data(), data, array.data.size());
    return array;
}

void check_tensors(const OrtApi* api, const OrtSession* session, const Manifest& manifest) {
    const auto inputs = tensors_of(api, session,
                                   {"input", api->SessionGetInputCount, api->SessionGetInputName,
                                    api->SessionGetInputTypeInfo});
    for (const auto& [name, type] : inputs) {
        bool listed = false;
        for (const InputInfo& info : manifest.inputs) listed = listed || info.name == name;
        if (!listed)
            refuse_bundle(
                cat("model.onnx has an input ", repr(name), " that the manifest does not list"));
    }
    check_side(inputs, manifest.inputs, "input");
    const auto outputs = tensors_of(api, session,
                                    {"output", api->SessionGetOutputCount,
                                     api->SessionGetOutputName, api->SessionGetOutputTypeInfo});
    check_side(outputs, manifest.outputs, "output");
}

}  // namespace kexport
