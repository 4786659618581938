#include "entry.hpp"

#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "../src/text.hpp"

namespace programs {

namespace {

/// Return a text as JSON, in which control characters are escaped, and bytes that are not UTF-8 in
/// the way of `printable`.
std::string json(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : kexport::is_utf8(text) ? text : kexport::printable(text)) {
        char code[8];
        std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
        if (c == '"' || c == '\\')
            quoted += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20)
            quoted += code;
        else
            quoted += c;
    }
    return quoted + '"';
}

std::string json(double value) {
    if (std::isnan(value)) return "NaN";  // as Python writes these
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

std::string json(std::int64_t value) {
    return std::to_string(value);
}

using Members = std::vector<std::pair<const char*, std::string>>;

std::string object(const Members& members) {
    std::string text;
    for (const auto& [key, value] : members)
        text += kexport::cat(text.empty() ? "" : ", ", "\"", key, "\": ", value);
    return "{" + text + "}";
}

template <class Items, class Write>
std::string list(const Items& items, const Write& write) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ", ") + write(item);
    return "[" + text + "]";
}

std::string json(const kexport::Prediction& one) {
    return object({{"index", json(one.index)}, {"label", json(one.label)}, {"score", json(one.score)}});
}

std::string json(const kexport::Share& one) {
    return object({{"index", json(one.index)}, {"label", json(one.label)}, {"share", json(one.share)}});
}

std::string json(const kexport::Box& one) {
    return object({{"index", json(one.index)},
                   {"label", json(one.label)},
                   {"score", json(one.score)},
                   {"left", json(one.left)},
                   {"top", json(one.top)},
                   {"right", json(one.right)},
                   {"bottom", json(one.bottom)}});
}

/// What an answer adds to the object of its image.
struct Writer {
    double threshold;
    bool is_labels;

    static std::string number(std::int64_t value) { return json(value); }

    Members operator()(const std::vector<kexport::Prediction>& found) const {
        const std::string rows = list(found, [](const auto& one) { return json(one); });
        if (!is_labels) return {{"predictions", rows}};
        return {{"labels", rows}, {"threshold", json(threshold)}};
    }
    Members operator()(const kexport::Decision& found) const {
        return {{"decision", object({{"index", found.positive ? "1" : "0"},
                                     {"label", json(found.label)},
                                     {"positive", found.positive ? "true" : "false"},
                                     {"score", json(found.score)},
                                     {"threshold", json(found.threshold)}})}};
    }
    Members operator()(const kexport::Mask& mask) const {
        return {{"mask", object({{"height", number(mask.height)},
                                 {"width", number(mask.width)},
                                 {"shares", list(mask.shares,
                                                 [](const auto& one) { return json(one); })}})}};
    }
    Members operator()(const std::vector<kexport::Box>& found) const {
        return {{"boxes", list(found, [](const auto& one) { return json(one); })}};
    }
    Members operator()(const std::vector<kexport::Number>& found) const {
        return {{"numbers", list(found, [](const kexport::Number& one) {
                     return object({{"name", json(one.name)}, {"value", json(one.value)}});
                 })}};
    }
    Members operator()(const kexport::Embedding& found) const {
        Members members{
            {"embedding", list(found.vector, [](double value) { return json(value); })}};
        if (!found.neighbours.empty())
            members.emplace_back("neighbours",
                                 list(found.neighbours, [](const kexport::Neighbour& one) {
                                     return object({{"name", json(one.name)},
                                                    {"similarity", json(one.similarity)}});
                                 }));
        return members;
    }
    Members operator()(const kexport::OutputImage& image) const {
        return {{"image", object({{"height", number(image.height)},
                                  {"width", number(image.width)},
                                  {"channels", number(image.channels)}})}};
    }
    Members operator()(const std::vector<kexport::RawOutput>& outputs) const {
        std::string text;
        for (const kexport::RawOutput& one : outputs)
            text += kexport::cat(
                text.empty() ? "" : ", ", json(one.name), ": ",
                object({{"dtype", json(std::string(kexport::name_of(one.dtype)))},
                        {"shape", list(one.shape, [](std::int64_t size) { return json(size); })}}));
        return {{"outputs", "{" + text + "}"}};
    }
};

}  // namespace

std::string entry_of(const std::string& image, const kexport::Answer& answer,
                     const kexport::Settings& settings, const kexport::TaskInfo& task,
                     const std::string& saved) {
    const Writer writer{settings.threshold.value_or(task.threshold), task.name == "multilabel"};
    Members members{{"picture", json(image)}};
    for (auto& member : std::visit(writer, answer)) members.push_back(std::move(member));
    if (!saved.empty()) members.emplace_back("saved", json(saved));
    return object(members);
}

std::string entry_of(const std::string& image, const kexport::Fault& fault) {
    return object({{"picture", json(image)}, {"error", json(fault.message)}});
}

}  // namespace programs
