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

}  // namespace

Array parse_npy(std::vector<unsigned char> file) {
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
    const std::string_view header = content.substr(start, length);
    if (after(header, "'fortran_order'").substr(0, 5) != "False")
        refuse_array("an array is in Fortran order");
    Array array{dtype_in(header), shape_in(header), {}};
    std::size_t elements = (file.size() - start - length) / bytes_of(array.dtype);
    const std::size_t there = elements;
    elements = 1;
    for (const std::int64_t size : array.shape) {
        const auto count = static_cast<std::size_t>(size);
        if (count != 0 && elements > there / count) refuse_array("an array is cut off");
        elements *= count;
    }
    if (elements * bytes_of(array.dtype) != file.size() - start - length)
        refuse_array("an array's size does not match its shape");
    file.erase(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(start + length));
    array.data = std::move(file);
    return array;
}

}  // namespace kexport
