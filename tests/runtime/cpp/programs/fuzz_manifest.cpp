/// libFuzzer: any bytes in the place of manifest.json are read, or refused with a message.
#include <cstdlib>

#include "src/errors.hpp"
#include "src/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        kexport::parse_manifest({reinterpret_cast<const char*>(data), size}, "manifest.json");
    } catch (const kexport::Refusal& refusal) {
        if (refusal.fault.message.empty()) std::abort();
    }
    return 0;
}
