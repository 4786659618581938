#include "inputs.hpp"

#include "errors.hpp"
#include "text.hpp"

namespace kexport {

namespace {

bool fits(const Shape& given, const Shape& stated) {
    if (given.rank() != stated.rank() || given.elements() < 1) return false;
    for (std::size_t axis = 0; axis < given.rank(); ++axis)
        if (stated[axis] >= 0 && given[axis] != stated[axis]) return false;
    return true;
}

std::string hint_for(const Input& given, const InputInfo& info) {
    if (info.color.empty()) return "";
    if (given.dtype != info.dtype)
        return cat("pass ", info.color, " as ", name_of(info.dtype),
                   " 0..255: preprocessing is inside the model");
    return "give pixels in this size and layout, or use classify(), which does";
}

std::string hint_for(const Output&, const OutputInfo&) {
    return "";
}

/// Refuse sizes that a format with shared chroma does not have; others are in the shape.
void refuse_odd(const Input& given, const InputInfo& info) {
    const bool is_nv12 = info.color == "NV12";
    if (!is_nv12 && info.color != "YUYV") return;
    const std::size_t first = info.layout == "NCHW" ? 2 : 1;
    const std::int64_t rows = given.shape[first], width = given.shape[first + 1];
    if (is_nv12 && rows % 3 != 0)
        refuse_input(cat("input ", repr(info.name), " takes NV12, and ", rows,
                         " rows are not 3/2 of an even height"),
                     "give 3/2 as many rows as the image has: its Y, then its U and V");
    if (width % 2 != 0)
        refuse_input(cat("input ", repr(info.name), " takes ", info.color, ", and the width ",
                         width, " is odd"),
                     "cut off the last column");
}

void refuse_odd(const Output&, const OutputInfo&) {}

template <class Tensor, class Info>
void check_tensor(const char* role, const char* verb, const Tensor& given, const Info& info) {
    if (given.data == nullptr)
        refuse_input(cat(role, " ", repr(info.name), " has no data"), "pass a pointer to memory");
    if (given.dtype != info.dtype || !fits(given.shape, info.shape))
        refuse_input(
            cat(role, " ", repr(info.name), " ", verb, " ", described(info.dtype, info.shape),
                ", got ", described(given.dtype, given.shape)),
            hint_for(given, info));
    refuse_odd(given, info);
}

/// Sort the given tensors into the order of `infos`. Throws a Refusal for a name that is unknown or
/// given twice.
template <class Tensor, class Info>
void fit(const char* role, const char* verb, const Tensor* given, std::size_t count,
         const std::vector<Info>& infos, Tensor* fitted) {
    for (std::size_t at = 0; at < infos.size(); ++at) fitted[at] = {};
    for (std::size_t at = 0; at < count; ++at) {
        std::size_t place = 0;
        while (place < infos.size() && infos[place].name != given[at].name) ++place;
        if (place == infos.size())
            refuse_input(cat("no ", role, " named ", repr(given[at].name)),
                         cat("the model's ", role, "s are: ", names_of(infos)));
        if (fitted[place].data != nullptr)
            refuse_input(cat(role, " ", repr(given[at].name), " is given twice"));
        check_tensor(role, verb, given[at], infos[place]);
        fitted[place] = given[at];
        fitted[place].name = infos[place].name;
    }
}

}  // namespace

void fit_inputs(const Input* given, std::size_t count, const std::vector<InputInfo>& infos,
                Input* fitted) {
    fit("input", "takes", given, count, infos, fitted);
    for (std::size_t at = 0; at < infos.size(); ++at) {
        if (fitted[at].data == nullptr)
            refuse_input(cat("input ", repr(infos[at].name), " is missing"),
                         cat("the model's inputs are: ", names_of(infos)));
        if (fitted[at].shape[0] != fitted[0].shape[0])
            refuse_input(cat("the inputs hold different numbers of samples: ", infos[0].name, " ",
                             fitted[0].shape[0], ", ", infos[at].name, " ", fitted[at].shape[0]),
                         "give every input the same batch");
    }
}

void fit_outputs(const Output* given, std::size_t count, const std::vector<OutputInfo>& infos,
                 Output* fitted) {
    if (count == 0)
        refuse_input("no output was requested", cat("the model's outputs are: ", names_of(infos)));
    fit("output", "is", given, count, infos, fitted);
}

}  // namespace kexport
