/// The calls of CUDA's driver that the runtime makes, on memory of the CPU.
#include <cstdlib>
#include <cstring>

extern "C" {
int cuInit(unsigned) {
    return std::getenv("FAKE_NO_GPU") != nullptr ? 100 : 0;
}
int cuDeviceGet(int* device, int) {
    return *device = 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
    return *context = context, 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    return 0;
}
int cuCtxSetCurrent(void*) {
    return 0;
}
int cuDeviceGetName(char* name, int size, int) {
    return std::strncpy(name, "Fake", static_cast<std::size_t>(size)), 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    return *value = attribute == 75 ? 8 : 7, 0;
}
int cuStreamCreate(void** stream, unsigned) {
    return *stream = stream, 0;
}
int cuStreamDestroy_v2(void*) {
    return 0;
}
int cuStreamSynchronize(void*) {
    return 0;
}
int cuMemAlloc_v2(unsigned long long* address, std::size_t size) {
    return *address = reinterpret_cast<unsigned long long>(std::malloc(size)), 0;
}
int cuMemFree_v2(unsigned long long address) {
    return std::free(reinterpret_cast<void*>(address)), 0;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, std::size_t size, void*) {
    return std::memcpy(reinterpret_cast<void*>(to), from, size), 0;
}
int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, std::size_t size, void*) {
    return std::memcpy(to, reinterpret_cast<const void*>(from), size), 0;
}
int cuGetErrorString(int, const char** text) {
    return *text = "no CUDA-capable device is detected", 0;
}
}
