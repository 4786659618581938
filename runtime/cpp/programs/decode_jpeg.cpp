/// JPEG decoding with libjpeg.
#include <jerror.h>  // NOLINT: libjpeg's headers need cstdio before them
#include <jpeglib.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <stdexcept>

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
bool read_all(jpeg_decompress_struct& info, Failing& failing, Image& image,
              void (*prepare)(const jpeg_decompress_struct&, Image&)) {
    if (setjmp(failing.escape)) return false;
    jpeg_read_header(&info, TRUE);
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
    const bool known = info.num_components == 1 || info.num_components == 3;
    try {
        if (known) image = sized(info.image_width, info.image_height, info.num_components);
    } catch (const std::exception&) {
        image = {};
    }
}

}  // namespace

Image decode_jpeg(const std::vector<std::uint8_t>& file) {
    jpeg_decompress_struct info{};
    Failing failing{};
    info.err = jpeg_std_error(&failing.base);
    failing.base.error_exit = leave;
    failing.base.emit_message = warn;
    Image image;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    const bool read = read_all(info, failing, image, prepare_image);
    const int components = info.num_components;
    jpeg_destroy_decompress(&info);
    if (read) return image;
    if (failing.message[0] != '\0') throw std::runtime_error(failing.message);
    throw std::runtime_error(components == 4 ? "it is in CMYK" : "it is too large");
}

}  // namespace programs
