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

bool is_utf8(std::string_view bytes) noexcept {
    for (std::size_t at = 0; at < bytes.size();) {
        const auto byte = [&](std::size_t index) {
            return static_cast<unsigned char>(bytes[index]);
        };
        const unsigned lead = byte(at);
        const std::size_t length = lead < 0x80             ? 1
                                   : (lead & 0xe0) == 0xc0 ? 2
                                   : (lead & 0xf0) == 0xe0 ? 3
                                   : (lead & 0xf8) == 0xf0 ? 4
                                                           : 0;
        if (length == 0 || at + length > bytes.size()) return false;
        unsigned long code = length == 1 ? lead : lead & (0x7fU >> length);
        for (std::size_t next = 1; next < length; ++next) {
            if ((byte(at + next) & 0xc0) != 0x80) return false;
            code = code << 6 | (byte(at + next) & 0x3f);
        }
        constexpr unsigned long least[] = {0, 0x80, 0x800, 0x10000};
        if (code < least[length - 1] || code > 0x10ffff) return false;
        if (code >= 0xd800 && code < 0xe000) return false;
        at += length;
    }
    return true;
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
