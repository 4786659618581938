/// Command line of the programs: arguments, and messages on standard error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../kexport.hpp"

namespace terminal {

/// A parsed command line.
struct Arguments {
    std::vector<std::string> plain;  ///< the bundle, then images
    kexport::Options options;
    int top_k = 0;                    ///< 0: not given
    std::optional<double> threshold;  ///< from 0 to 1
    std::optional<double> iou;        ///< from 0 to 1
    std::string save;                 ///< the folder to write answers to; empty: not given
    std::string gallery;              ///< the .npz file of known vectors; empty: not given
    bool jsonl = false;               ///< print a line of JSON for each image
    double seconds = 3.0;             ///< how long kexport-bench measures
};

/// An option of a program: its name, the placeholder of its value (empty for one that has no value),
/// and its help text.
struct Option {
    const char* name;
    const char* value;
    const char* help;
};

/// Read a command line, or end the program: with status 0 after --help, with 2 for wrong usage.
/// Every program takes --threads, --device and --onnxruntime beside `more`.
Arguments read(int count, char** words, const char* usage, const char* purpose,
               const std::vector<Option>& more, std::size_t least, std::size_t most);

/// Turn ONNX Runtime's telemetry off before it is loaded, so that it sends no data and keeps no
/// database in the home folder ("Disabling Telemetry" in its Privacy.md), unless the user set
/// ORT_DISABLE_TELEMETRY.
void disable_telemetry();

/// Print a fault and its hint on standard error, and return its exit status.
int print_fault(const kexport::Fault& fault);

/// Print a warning, if there is one.
void warn(const std::string& warning);

}  // namespace terminal
