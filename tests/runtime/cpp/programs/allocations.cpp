/// Counts allocations that this program makes itself while Model::run runs; those within shared
/// libraries, ONNX Runtime's among them, are not seen. The linker puts the wrappers in
/// (--wrap=malloc and so on, with libstdc++ linked statically).
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "kexport.hpp"

namespace {
std::atomic<long> allocations{0};
}

extern "C" {
void* __real_malloc(std::size_t);
void* __real_calloc(std::size_t, std::size_t);
void* __real_realloc(void*, std::size_t);
void* __real__Znwm(std::size_t);
void* __real__Znam(std::size_t);
void* __wrap_malloc(std::size_t size) {
    return ++allocations, __real_malloc(size);
}
void* __wrap_calloc(std::size_t n, std::size_t size) {
    return ++allocations, __real_calloc(n, size);
}
void* __wrap_realloc(void* p, std::size_t size) {
    return ++allocations, __real_realloc(p, size);
}
void* __wrap__Znwm(std::size_t size) {
    return ++allocations, __real__Znwm(size);
}
void* __wrap__Znam(std::size_t size) {
    return ++allocations, __real__Znam(size);
}
}

int main(int, char** words) {
    const auto model = kexport::Model::open(words[1]);
    if (!model) return static_cast<int>(model.fault().status);
    const kexport::InputInfo& in = model->inputs()[0];
    const kexport::OutputInfo& out = model->outputs()[0];
    const auto room = [](kexport::DType dtype, const kexport::Shape& shape) {
        return std::vector<unsigned char>(static_cast<std::size_t>(shape.elements()) *
                                          kexport::bytes_of(dtype));
    };
    const std::vector<std::vector<unsigned char>> places(6, room(in.dtype, in.shape));
    auto result = room(out.dtype, out.shape);
    const auto run = [&](const std::vector<unsigned char>& pixels) {
        return static_cast<bool>(model->run({{in.name, in.dtype, pixels.data(), in.shape}},
                                            {{out.name, out.dtype, result.data(), out.shape}}));
    };
    const long before = allocations;
    bool sound = run(places[0]);
    const long first = allocations;
    for (std::size_t turn = 0; turn < 100; ++turn)
        sound = sound && run(places[turn < 50 ? turn % 2 : turn % places.size()]);
    std::printf("%ld before, %ld in the first call, %ld in the next hundred\n", before,
                first - before, allocations - first);
    return sound ? 0 : 1;
}
