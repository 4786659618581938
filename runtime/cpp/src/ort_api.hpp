/// What is called of ONNX Runtime's C API, so that a build needs none of its headers.
///
/// The API is a table of functions, which each release hands out by version: a version keeps the
/// places and the types of its functions in all later releases, and a new one appends to it
/// (onnxruntime_c_api.h, "OrtApi", which asserts the sizes of former versions). This is version 11,
/// which every release since 1.11 has. Functions in between are not called, and only keep their
/// places. tests/runtime/cpp/test_ort_api.py compares all places and types with Microsoft's header.
#pragma once

#include <cstddef>
#include <cstdint>

struct OrtAllocator;
struct OrtCUDAProviderOptionsV2;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;

namespace kexport {

inline constexpr std::uint32_t oldest_ort_api = 11;
inline constexpr std::size_t ort_api_functions = 210;  ///< of version 11

inline constexpr int ort_logs_errors = 3;      ///< ORT_LOGGING_LEVEL_ERROR
inline constexpr int ort_arena_allocator = 1;  ///< OrtArenaAllocator
inline constexpr int ort_default_memory = 0;   ///< OrtMemTypeDefault

/// The element types of tensors, as ONNXTensorElementDataType and ONNX number them.
enum class OrtElement : int {
    undefined = 0,
    float32 = 1,
    uint8 = 2,
    int8 = 3,
    uint16 = 4,
    int16 = 5,
    int32 = 6,
    int64 = 7,
    boolean = 9,
    float16 = 10,
    float64 = 11,
    uint32 = 12,
    uint64 = 13
};

/// The table of functions. The number at the end of a line is a function's place; `from_0` and so
/// on are the functions from that place to the next named one.
struct OrtApi {
    using Place = void (*)();

    Place from_0[2];
    const char* (*GetErrorMessage)(const OrtStatus*) noexcept;               // 2
    OrtStatus* (*CreateEnv)(int level, const char* name, OrtEnv**) noexcept;  // 3
    Place from_4[2];
    OrtStatus* (*DisableTelemetryEvents)(const OrtEnv*) noexcept;  // 6
    OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*,
                                OrtSession**) noexcept;  // 7
    Place from_8[1];
    OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names,
                      const OrtValue* const* inputs, std::size_t input_count,
                      const char* const* output_names, std::size_t output_count,
                      OrtValue** outputs) noexcept;                   // 9
    OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**) noexcept;  // 10
    Place from_11[11];
    OrtStatus* (*SetSessionLogSeverityLevel)(OrtSessionOptions*, int level) noexcept;  // 22
    Place from_23[1];
    OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int threads) noexcept;  // 24
    Place from_25[5];
    OrtStatus* (*SessionGetInputCount)(const OrtSession*, std::size_t*) noexcept;   // 30
    OrtStatus* (*SessionGetOutputCount)(const OrtSession*, std::size_t*) noexcept;  // 31
    Place from_32[1];
    OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession*, std::size_t index,
                                          OrtTypeInfo**) noexcept;  // 33
    OrtStatus* (*SessionGetOutputTypeInfo)(const OrtSession*, std::size_t index,
                                           OrtTypeInfo**) noexcept;  // 34
    Place from_35[1];
    OrtStatus* (*SessionGetInputName)(const OrtSession*, std::size_t index, OrtAllocator*,
                                      char**) noexcept;  // 36
    OrtStatus* (*SessionGetOutputName)(const OrtSession*, std::size_t index, OrtAllocator*,
                                       char**) noexcept;  // 37
    Place from_38[11];
    OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data,
                                                 std::size_t bytes, const std::int64_t* shape,
                                                 std::size_t rank, OrtElement,
                                                 OrtValue**) noexcept;  // 49
    Place from_50[1];
    OrtStatus* (*GetTensorMutableData)(OrtValue*, void**) noexcept;  // 51
    Place from_52[3];
    OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*,
                                           const OrtTensorTypeAndShapeInfo**) noexcept;  // 55
    Place from_56[4];
    OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*,
                                       OrtElement*) noexcept;  // 60
    OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*,
                                     std::size_t*) noexcept;  // 61
    OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, std::int64_t* sizes,
                                std::size_t rank) noexcept;  // 62
    Place from_63[1];
    OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*,
                                             std::size_t*) noexcept;  // 64
    OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*,
                                        OrtTensorTypeAndShapeInfo**) noexcept;  // 65
    Place from_66[3];
    OrtStatus* (*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo**) noexcept;  // 69
    Place from_70[6];
    OrtStatus* (*AllocatorFree)(OrtAllocator*, void*) noexcept;  // 76
    Place from_77[1];
    OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**) noexcept;  // 78
    Place from_79[13];
    void (*ReleaseEnv)(OrtEnv*);                // 92
    void (*ReleaseStatus)(OrtStatus*);          // 93
    void (*ReleaseMemoryInfo)(OrtMemoryInfo*);  // 94
    void (*ReleaseSession)(OrtSession*);        // 95
    void (*ReleaseValue)(OrtValue*);            // 96
    Place from_97[1];
    void (*ReleaseTypeInfo)(OrtTypeInfo*);                              // 98
    void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);  // 99
    void (*ReleaseSessionOptions)(OrtSessionOptions*);                  // 100
    Place from_101[29];
    OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions*, const char* key,
                                        const char* value) noexcept;  // 130
    Place from_131[73];
    OrtStatus* (*SessionOptionsAppendExecutionProvider_CUDA_V2)(
        OrtSessionOptions*, const OrtCUDAProviderOptionsV2*) noexcept;                // 204
    OrtStatus* (*CreateCUDAProviderOptions)(OrtCUDAProviderOptionsV2**) noexcept;  // 205
    OrtStatus* (*UpdateCUDAProviderOptions)(OrtCUDAProviderOptionsV2*, const char* const* keys,
                                            const char* const* values,
                                            std::size_t count) noexcept;  // 206
    Place from_207[1];
    void (*ReleaseCUDAProviderOptions)(OrtCUDAProviderOptionsV2*);  // 208
    Place from_209[1];
};
static_assert(sizeof(OrtApi) == ort_api_functions * sizeof(OrtApi::Place));

/// What OrtGetApiBase() returns.
struct OrtApiBase {
    const OrtApi* (*GetApi)(std::uint32_t version) noexcept;  ///< null for a version it has not
    const char* (*GetVersionString)() noexcept;
};

}  // namespace kexport
