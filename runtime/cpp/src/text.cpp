#include "text.hpp"

#include <cstdio>

namespace kexport {

std::string repr(std::string_view text) {
    const bool apostrophes = text.find('\'') != text.npos && text.find('"') == text.npos;
    const char quote = apostrophes ? '"' : '\'';
    std::string shown(1, quote);
    for (const char character : text) {
        const auto code = static_cast<unsigned char>(character);
        if (character == quote || character == '\\') {
            shown += {'\\', character};
        } else if (character == '\n') {
            shown += "\\n";
        } else if (character == '\r') {
            shown += "\\r";
        } else if (character == '\t') {
            shown += "\\t";
        } else if (code < 0x20 || code == 0x7f) {
            char escaped[5];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", code);
            shown += escaped;
        } else {
            shown += character;
        }
    }
    return shown + quote;
}

namespace {

/// A UTF-8 character and its number of bytes; 0 if the bytes are not valid UTF-8.
struct Character {
    unsigned long code = 0;
    std::size_t length = 0;
};

/// Decode the first character: no overlong forms, no surrogates, nothing above U+10FFFF.
Character first_of(std::string_view bytes) noexcept {
    const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
    const unsigned lead = byte(0);
    const std::size_t length = lead < 0x80             ? 1
                               : (lead & 0xe0) == 0xc0 ? 2
                               : (lead & 0xf0) == 0xe0 ? 3
                               : (lead & 0xf8) == 0xf0 ? 4
                                                       : 0;
    if (length == 0 || length > bytes.size()) return {};
    unsigned long code = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t next = 1; next < length; ++next) {
        if ((byte(next) & 0xc0) != 0x80) return {};
        code = code << 6 | (byte(next) & 0x3f);
    }
    constexpr unsigned long least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[length - 1] || code > 0x10ffff) return {};
    if (code >= 0xd800 && code < 0xe000) return {};
    return {code, length};
}

/// Whether a character is a control character (C0, DEL, C1), a line or paragraph separator, or a
/// bidirectional override.
bool controls_terminal(unsigned long code) noexcept {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

bool is_utf8(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const std::size_t length = first_of(bytes).length;
        if (length == 0) return false;
        bytes.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view text) {
    std::string shown;
    while (!text.empty()) {
        const Character found = first_of(text);
        const std::size_t length = found.length == 0 ? 1 : found.length;
        if (found.length != 0 && !controls_terminal(found.code)) {
            shown += text.substr(0, length);
        } else {
            const unsigned long code =
                found.length == 0 ? static_cast<unsigned char>(text[0]) : found.code;
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, code < 0x100 ? "\\x%02lx" : "\\u%04lx",
                          code & 0xffff);
            shown += escaped;
        }
        text.remove_prefix(length);
    }
    return shown;
}

std::string described(DType dtype, const Shape& shape) {
    std::string text = cat(name_of(dtype), " [");
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        if (axis != 0) text += ", ";
        text += shape[axis] >= 0 ? std::to_string(shape[axis]) : axis == 0 ? "N" : "?";
    }
    return text + "]";
}

}  // namespace kexport
