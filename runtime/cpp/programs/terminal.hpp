/// What the programs share: arguments, and faults on standard error.
#pragma once

#include <string>
#include <vector>

#include "../kexport.hpp"

namespace terminal {

/// What a command line says.
struct Arguments {
    std::vector<std::string> plain;  ///< the bundle, then images
    kexport::Options options;
    int top_k = 0;         ///< 0: not given
    double seconds = 3.0;  ///< how long kexport-bench measures
};

/// An option that a program takes: its name, what its value is, and what it does.
struct Option {
    const char* name;
    const char* value;
    const char* help;
};

/// Read a command line, or end the program: with status 0 after --help, with 2 for wrong usage.
/// Every program takes --threads, --device and --onnxruntime beside `more`.
Arguments read(int count, char** words, const char* usage, const char* purpose,
               const std::vector<Option>& more, std::size_t least, std::size_t most);

/// Tell ONNX Runtime, before it is loaded, to send nothing and to keep no database in the home
/// folder ("Disabling Telemetry" in its Privacy.md). What the user has set stays.
void send_nothing();

/// Print a fault with its hint, and return its exit status.
int tell(const kexport::Fault& fault);

/// Print a warning, if there is one.
void warn(const std::string& warning);

}  // namespace terminal
