/// kexport::verify for the folders whose names come in on stdin, one a line, until it ends. For
/// each: the exit status of kexport-verify and the number of lines that follow; then these, which
/// are what kexport-verify prints.
///
/// One process for many bundles: to load ONNX Runtime takes longer than a small bundle does, under
/// emulation ten times as long.
#include <algorithm>
#include <iostream>
#include <string>

#include "kexport.hpp"

int main() {
    for (std::string bundle; std::getline(std::cin, bundle);) {
        const auto found = kexport::verify(bundle);
        const std::string told = found ? kexport::to_string(*found) : found.fault().message;
        const auto failed = static_cast<int>(kexport::Status::parity_failed);
        const int status = !found            ? static_cast<int>(found.fault().status)
                           : found->passed() ? 0
                                             : failed;
        const auto lines = std::count(told.begin(), told.end(), '\n') + 1;
        std::cout << status << ' ' << lines << '\n' << told << std::endl;
    }
}
