/// The format (numpy.lib.format) is a magic string, a version, the length of the header, and the
/// header as a Python dict literal.
#include "npy.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace kexport {

namespace {

constexpr std::size_t most_digits = 18, most_dimensions = 32;

[[noreturn]] void refuse_array(const char* what) {
    throw std::runtime_error(what);
}

/// Return the part of a header after a key and its colon.
std::string_view after(std::string_view header, std::string_view key) {
    const std::size_t at = header.find(key);
    if (at == header.npos) refuse_array("an array's header lacks an entry");
    std::string_view rest = header.substr(at + key.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" :"), rest.size()));
    return rest;
}

struct Code {
    std::string_view text;
    DType dtype;
};

constexpr Code codes[] = {
    {"'|b1'", DType::boolean}, {"'|u1'", DType::uint8},   {"'<u2'", DType::uint16},
    {"'<u4'", DType::uint32},  {"'<u8'", DType::uint64},  {"'|i1'", DType::int8},
    {"'<i2'", DType::int16},   {"'<i4'", DType::int32},   {"'<i8'", DType::int64},
    {"'<f2'", DType::float16}, {"'<f4'", DType::float32}, {"'<f8'", DType::float64}};

DType dtype_in(std::string_view header) {
    const std::string_view descr = after(header, "'descr'");
    for (const Code& code : codes)
        if (descr.substr(0, code.text.size()) == code.text) return code.dtype;
    refuse_array("an array holds something other than plain numbers");
}

std::vector<std::int64_t> shape_in(std::string_view header) {
    std::string_view rest = after(header, "'shape'");
    std::vector<std::int64_t> shape;
    if (rest.empty() || rest.front() != '(') refuse_array("an array's shape is not a tuple");
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find(')'), rest.size());
    if (end == rest.size() || rest.find_first_not_of("0123456789, ") != end)
        refuse_array("an array's shape is not a tuple of whole numbers");
    std::size_t digits = 0;  // of the number that is being read
    for (const char c : rest.substr(0, end)) {
        const bool digit = c >= '0' && c <= '9';
        digits = digit ? digits + 1 : 0;
        if (digits > most_digits) refuse_array("an array is too large");
        if (digits == 1) shape.push_back(0);
        if (digit) shape.back() = shape.back() * 10 + (c - '0');
    }
    if (shape.size() > most_dimensions) refuse_array("an array has more than 32 dimensions");
    return shape;
}

/// A file's header, and where its values start.
struct Head {
    std::string_view text;
    std::size_t values = 0;
};

Head head_of(const std::vector<unsigned char>& file) {
    constexpr std::string_view mark = "\x93NUMPY";
    const std::string_view content(reinterpret_cast<const char*>(file.data()), file.size());
    if (content.substr(0, mark.size()) != mark || content.size() < 12)
        refuse_array("a member is not a NumPy array");
    const std::size_t width = file[6] == 1 ? 2 : 4;
    std::size_t length = 0;
    for (std::size_t at = 0; at < width; ++at)
        length |= static_cast<std::size_t>(file[8 + at]) << (8 * at);
    const std::size_t start = 8 + width;
    if (length > file.size() - start) refuse_array("an array's header is cut off");
    return {content.substr(start, length), start + length};
}

/// Return the number of characters of each text: that of "<U12" is 12.
std::size_t characters_in(std::string_view header) {
    std::string_view rest = after(header, "'descr'");
    constexpr std::string_view mark = "'<U";
    if (rest.substr(0, mark.size()) != mark)
        refuse_array("an array holds something other than texts");
    rest.remove_prefix(mark.size());
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0 || digits > 9) refuse_array("an array holds something other than texts");
    std::size_t found = 0;
    for (const char c : rest.substr(0, digits))
        found = found * 10 + static_cast<std::size_t>(c - '0');
    return found;
}

void append_utf8(std::string& text, std::uint32_t code) {
    if (code < 0x80) {
        text += static_cast<char>(code);
        return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr std::uint32_t first[] = {0, 0xC0, 0xE0, 0xF0};
    text += static_cast<char>(first[more] | (code >> (6 * more)));
    for (int at = more - 1; at >= 0; --at)
        text += static_cast<char>(0x80 | ((code >> (6 * at)) & 0x3F));
}

}  // namespace

std::vector<std::string> parse_texts(const std::vector<unsigned char>& file) {
    constexpr std::size_t width = 4;
    constexpr std::uint32_t codes_end = 0x110000;
    const Head head = head_of(file);
    const std::size_t characters = characters_in(head.text);
    const std::vector<std::int64_t> shape = shape_in(head.text);
    const std::size_t bytes = file.size() - head.values;
    if (shape.size() != 1) refuse_array("an array of texts has more than one axis");
    const auto count = static_cast<std::size_t>(shape[0]);
    const std::size_t of_one = width * characters;
    if (of_one == 0 ? bytes != 0 || count > 0 : bytes / of_one != count || bytes % of_one != 0)
        refuse_array("an array's size does not match its shape");
    std::vector<std::string> texts(count);
    for (std::size_t text = 0; text < count; ++text)
        for (std::size_t at = 0; at < characters; ++at) {
            const unsigned char* place = &file[head.values + width * (text * characters + at)];
            std::uint32_t code = 0;
            for (std::size_t byte = 0; byte < width; ++byte)
                code |= static_cast<std::uint32_t>(place[byte]) << (8 * byte);
            if (code == 0) break;  // texts are filled up with zeros
            if (code >= codes_end) refuse_array("a text has a character that does not exist");
            append_utf8(texts[text], code);
        }
    return texts;
}

Array parse_npy(std::vector<unsigned char> file) {
    const auto [header, start] = head_of(file);
    if (after(header, "'fortran_order'").substr(0, 5) != "False")
        refuse_array("an array is in Fortran order");
    Array array{dtype_in(header), shape_in(header), {}};
    std::size_t elements = (file.size() - start) / bytes_of(array.dtype);
    const std::size_t there = elements;
    elements = 1;
    for (const std::int64_t size : array.shape) {
        const auto count = static_cast<std::size_t>(size);
        if (count != 0 && elements > there / count) refuse_array("an array is cut off");
        elements *= count;
    }
    if (elements * bytes_of(array.dtype) != file.size() - start)
        refuse_array("an array's size does not match its shape");
    file.erase(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(start));
    array.data = std::move(file);
    return array;
}

}  // namespace kexport
