/// Small helpers for messages.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "../kexport.hpp"

namespace kexport {

/// Join texts and whole numbers into one string.
template <class... Parts>
std::string cat(const Parts&... parts) {
    std::string joined;
    const auto append = [&joined](const auto& part) {
        if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>) {
            joined += std::to_string(part);
        } else {
            joined += std::string_view(part);
        }
    };
    (append(parts), ...);
    return joined;
}

/// A text between quotes, as Python's repr writes it.
std::string repr(std::string_view text);

/// One line with every character that could steer a terminal written as \x1b or \u202e; as
/// runtime/terminal.py. Bytes that are not UTF-8 are written so too.
std::string printable(std::string_view text);

/// Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes) noexcept;

/// A tensor's type as `uint8 [N, 299, 299, 3]`: N for a free batch and ? for another free size.
std::string described(DType dtype, const Shape& shape);

/// The names of some inputs or outputs, with commas between them.
template <class Tensors>
std::string names_of(const Tensors& tensors) {
    std::string names;
    for (const auto& tensor : tensors) names += cat(names.empty() ? "" : ", ", tensor.name);
    return names;
}

}  // namespace kexport
