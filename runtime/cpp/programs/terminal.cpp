#include "terminal.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../src/text.hpp"

namespace terminal {

namespace {

constexpr int wrong_usage = 2;

constexpr Option shared[] = {
    {"--threads", "N", "threads within an operation (default: the engine's choice)"},
    {"--device", "NAME", "cpu, cuda or tensorrt (default: what the bundle was made for)"},
    {"--onnxruntime", "PATH", "ONNX Runtime's library, or the folder that holds it"},
};

[[noreturn]] void stop(const char* usage, const std::string& fault) {
    std::fprintf(stderr, "usage: %s\nerror: %s\n", usage, kexport::printable(fault).c_str());
    std::exit(wrong_usage);
}

[[noreturn]] void help(const char* usage, const char* purpose, const std::vector<Option>& options) {
    std::printf("usage: %s\n\n%s\n\n", usage, purpose);
    for (const Option& option : options) {
        const std::string name = std::string(option.name) + " " + option.value;
        std::printf("  %-20s %s\n", name.c_str(), option.help);
    }
    std::exit(0);
}

double number(const char* usage, const std::string& option, const char* text, bool whole) {
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    const bool fits = end != text && *end == '\0' && value > 0 && value <= 1e6;
    if (!fits || (whole && value != static_cast<int>(value)))
        stop(usage, option + " must be a " +
                        (whole ? "whole number of 1 or more" : "number above 0") + ", not '" +
                        text + "'");
    return value;
}

double share(const char* usage, const std::string& option, const char* text) {
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= 1.0))
        stop(usage, option + " must be a number from 0 to 1, not '" + text + "'");
    return value;
}

kexport::Device device(const char* usage, const std::string& name) {
    if (name == "cpu") return kexport::Device::cpu;
    if (name == "cuda") return kexport::Device::cuda;
    if (name == "tensorrt") return kexport::Device::tensorrt;
    stop(usage, "no device named '" + name + "'; use cpu, cuda or tensorrt");
}

}  // namespace

Arguments read(int count, char** words, const char* usage, const char* purpose,
               const std::vector<Option>& more, std::size_t least, std::size_t most) {
    std::vector<Option> options = more;
    options.insert(options.end(), std::begin(shared), std::end(shared));
    Arguments found;
    for (int at = 1; at < count; ++at) {
        const std::string word = words[at];
        if (word == "-h" || word == "--help") help(usage, purpose, options);
        if (word.size() < 2 || word[0] != '-') {
            found.plain.push_back(word);
            continue;
        }
        const Option* known = nullptr;
        for (const Option& option : options)
            if (word == option.name) known = &option;
        if (known == nullptr) stop(usage, "no option named " + word);
        if (word == "--jsonl") found.jsonl = true;
        if (*known->value == '\0') continue;
        if (++at == count) stop(usage, word + " needs a value");
        if (word == "--save") found.save = words[at];
        if (word == "--gallery") found.gallery = words[at];
        if (word == "--onnxruntime") found.options.onnxruntime = words[at];
        if (word == "--device") found.options.device = device(usage, words[at]);
        if (word == "--threads")
            found.options.threads = static_cast<int>(number(usage, word, words[at], true));
        if (word == "--threshold") found.threshold = share(usage, word, words[at]);
        if (word == "--iou") found.iou = share(usage, word, words[at]);
        if (word == "-k") found.top_k = static_cast<int>(number(usage, word, words[at], true));
        if (word == "--seconds") found.seconds = number(usage, word, words[at], false);
    }
    if (found.plain.size() < least)
        stop(usage, found.plain.empty() ? "the bundle is missing" : "the image is missing");
    if (found.plain.size() > most) stop(usage, "one argument too many: " + found.plain[most]);
    return found;
}

void disable_telemetry() {
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
}

int print_fault(const kexport::Fault& fault) {
    std::fprintf(stderr, "error: %s\n", kexport::printable(fault.message).c_str());
    if (!fault.hint.empty())
        std::fprintf(stderr, "hint: %s\n", kexport::printable(fault.hint).c_str());
    return static_cast<int>(fault.status);
}

void warn(const std::string& warning) {
    if (!warning.empty())
        std::fprintf(stderr, "warning: %s\n", kexport::printable(warning).c_str());
}

}  // namespace terminal
