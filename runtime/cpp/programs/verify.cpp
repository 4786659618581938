/// kexport-verify BUNDLE: check a bundle's hashes, then its golden outputs.
#include <cstdio>

#include "terminal.hpp"

int main(int count, char** words) {
    terminal::disable_telemetry();
    const terminal::Arguments arguments = terminal::read(
        count, words, "kexport-verify BUNDLE [options]",
        "Check a bundle's hashes, run its golden samples, and compare the outputs with Keras'.", {},
        1, 1);
    const auto found = kexport::verify(arguments.plain[0], arguments.options);
    if (!found) return terminal::print_fault(found.fault());
    terminal::warn(found->warning);
    std::printf("%s\n", kexport::to_string(*found).c_str());
    return found->passed() ? 0 : static_cast<int>(kexport::Status::parity_failed);
}
