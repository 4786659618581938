/// Text of messages: joining, quoting, and escaping what a terminal must not see.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "../kexport.hpp"

namespace kexport {

/// Join strings and whole numbers into one string.
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

/// Quote a string as Python's repr does.
std::string repr(std::string_view text);

/// Return the text as one line, with characters that control a terminal escaped (\x1b, \u202e); as
/// runtime/terminal.py. Bytes that are not UTF-8 are escaped too.
std::string printable(std::string_view text);

/// Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes) noexcept;

/// Describe a tensor as `uint8 [N, 299, 299, 3]`: N for a free batch, ? for other free sizes.
std::string described(DType dtype, const Shape& shape);

/// Join the names of inputs or outputs with commas.
template <class Tensors>
std::string names_of(const Tensors& tensors) {
    std::string names;
    for (const auto& tensor : tensors) names += cat(names.empty() ? "" : ", ", tensor.name);
    return names;
}

}  // namespace kexport
