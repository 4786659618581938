/// PNG decoding with libpng.
#include <png.h>

#include <cstring>
#include <stdexcept>

#include "decode.hpp"

namespace programs {

namespace {

/// A file in memory, what is wanted of it, and libpng's error message.
struct PngFile {
    const std::vector<std::uint8_t>& file;
    Grey16 grey16;
    std::size_t at = 0;
    char message[128] = "";
    bool is_refused = false;  ///< for its 16 bits
};

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
    auto* source = static_cast<PngFile*>(png_get_io_ptr(png));
    if (count > source->file.size() - source->at) png_error(png, "the file is truncated");
    std::memcpy(to, source->file.data() + source->at, count);
    source->at += count;
}

void leave(png_structp png, png_const_charp message) {
    auto* source = static_cast<PngFile*>(png_get_error_ptr(png));
    std::strncpy(source->message, message, sizeof source->message - 1);
    png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

/// Set the conversions that Pillow makes for Keras: 8 bits, palettes resolved, no alpha, no gamma.
void set_transforms(png_structp png, png_infop info) {
    const auto type = png_get_color_type(png, info);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_bit_depth(png, info) == 16) {
        png_set_strip_16(png);
    }
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
}

/// Read the header, then all rows into `image`; return false if libpng failed. The function has no
/// objects with destructors, which longjmp would skip.
bool read_all(png_structp png, png_infop info, Image& image, std::vector<png_bytep>& rows,
              void (*prepare)(png_structp, png_infop, Image&, std::vector<png_bytep>&)) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_info(png, info);
    auto* source = static_cast<PngFile*>(png_get_io_ptr(png));
    const bool is_grey16 = png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY &&
                           png_get_bit_depth(png, info) == 16;
    source->is_refused = is_grey16 && source->grey16 == Grey16::refused;
    if (source->is_refused) return false;
    set_transforms(png, info);
    png_read_update_info(png, info);
    prepare(png, info, image, rows);
    if (rows.empty()) return false;
    png_read_image(png, rows.data());
    png_read_end(png, nullptr);
    return true;
}

/// Allocate the image; leave `rows` empty if it is too large.
void prepare_image(png_structp png, png_infop info, Image& image, std::vector<png_bytep>& rows) {
    try {
        image = sized(png_get_image_width(png, info), png_get_image_height(png, info),
                      png_get_channels(png, info));
        const std::size_t row = png_get_rowbytes(png, info);
        for (int at = 0; at < image.height; ++at)
            rows.push_back(image.values.data() + row * static_cast<std::size_t>(at));
    } catch (const std::exception&) {
        rows.clear();
    }
}

}  // namespace

Image decode_png(const std::vector<std::uint8_t>& file, Grey16 grey16) {
    PngFile source{file, grey16};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, leave, ignore);
    png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
    Image image;
    std::vector<png_bytep> rows;
    bool read = false;
    if (info != nullptr) {
        png_set_read_fn(png, &source, read_bytes);
        read = read_all(png, info, image, rows, prepare_image);
    }
    png_destroy_read_struct(&png, &info, nullptr);
    if (read) return image;
    if (source.is_refused)
        throw Unsuitable("is grey with 16 bits, which Keras' load_img does not scale to 0..255",
                         "convert it to 8 bits a value first, as for training");
    if (source.message[0] != '\0') throw std::runtime_error(source.message);
    throw too_large();
}

}  // namespace programs
