/// JPEG decoding with libjpeg.
#include <jerror.h>  // NOLINT: libjpeg's headers need cstdio before them
#include <jpeglib.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "decode.hpp"

namespace programs {

namespace {

/// Error handler for libjpeg, which must not return and must not unwind C frames.
struct Failing {
    jpeg_error_mgr base;
    std::jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
};

void leave(j_common_ptr info) {
    auto* failing = reinterpret_cast<Failing*>(info->err);
    info->err->format_message(info, failing->message);
    std::longjmp(failing->escape, 1);
}

/// Ignore warnings as Pillow does, but fail for a file that ends too early.
void warn(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) leave(info);
}

/// Read the header, then all rows into `image`; return false if libjpeg failed. The function has no
/// objects with destructors, which longjmp would skip.
bool read_all(jpeg_decompress_struct& info, Failing& failing, Jpeg jpeg, Image& image,
              void (*prepare)(const jpeg_decompress_struct&, Image&)) {
    if (setjmp(failing.escape)) return false;
    jpeg_read_header(&info, TRUE);
    if (info.num_components == 4)
        info.out_color_space = JCS_CMYK;
    else if (jpeg != Jpeg::accurate)
        info.dct_method = JDCT_IFAST;
    if (info.num_components == 3 && jpeg == Jpeg::fast_grey) info.out_color_space = JCS_GRAYSCALE;
    prepare(info, image);
    if (image.values.empty()) return false;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
        const std::size_t row =
            static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
        JSAMPROW to = image.values.data() + row * info.output_scanline;
        jpeg_read_scanlines(&info, &to, 1);
    }
    jpeg_finish_decompress(&info);
    return true;
}

/// Allocate the image; leave it empty if it is too large or its components are not supported.
void prepare_image(const jpeg_decompress_struct& info, Image& image) {
    const int count = info.num_components;
    const int channels = info.out_color_space == JCS_GRAYSCALE ? 1 : count;
    try {
        if (count == 1 || count == 3 || count == 4)
            image = sized(info.image_width, info.image_height, channels);
    } catch (const std::exception&) {
        image = {};
    }
}

/// Convert CMYK to RGB as Pillow does. The values are taken to be inverted, as Adobe writes them.
Image in_rgb(const Image& inks) {
    Image image = sized(static_cast<std::uint64_t>(inks.width),
                        static_cast<std::uint64_t>(inks.height), 3);
    for (std::size_t from = 0, to = 0; from < inks.values.size(); from += 4) {
        const int light = inks.values[from + 3];
        for (std::size_t ink = 0; ink < 3; ++ink, ++to) {
            const int product = (255 - inks.values[from + ink]) * light + 128;
            const int value = light - ((product >> 8) + product) / 256;
            image.values[to] = static_cast<std::uint8_t>(value < 0 ? 0 : value);
        }
    }
    return image;
}

}  // namespace

Image decode_jpeg(const std::vector<std::uint8_t>& file, Jpeg jpeg) {
    jpeg_decompress_struct info{};
    Failing failing{};
    info.err = jpeg_std_error(&failing.base);
    failing.base.error_exit = leave;
    failing.base.emit_message = warn;
    Image image;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    const bool read = read_all(info, failing, jpeg, image, prepare_image);
    const int components = info.num_components;
    jpeg_destroy_decompress(&info);
    if (read) return image.channels == 4 ? in_rgb(image) : std::move(image);
    if (failing.message[0] != '\0') throw std::runtime_error(failing.message);
    if (components == 2 || components > 4)
        throw Unsuitable("is a JPEG that is neither grey nor RGB nor CMYK", "convert it to RGB");
    throw too_large();
}

}  // namespace programs
