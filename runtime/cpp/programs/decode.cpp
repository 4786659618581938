#include "decode.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace programs {

namespace {

constexpr std::uint64_t most_pixels = 178956970;  // Pillow's limit, against decompression bombs
constexpr char hint[] = "check that the file opens in an image viewer";

kexport::Fault bad(const std::string& message, const char* advice) {
    return {kexport::Status::bad_image, message, advice};
}

bool begins(const std::vector<std::uint8_t>& file, const char* mark) {
    const std::size_t length = std::strlen(mark);
    return file.size() >= length && std::memcmp(file.data(), mark, length) == 0;
}

/// Parser for the numbers of a PPM header, which comments may separate.
class Header {
  public:
    explicit Header(const std::vector<std::uint8_t>& file) : file_(file) {}

    std::uint64_t number() {
        while (at_ < file_.size() && (is_blank(file_[at_]) || file_[at_] == '#')) {
            if (file_[at_] == '#')
                while (at_ < file_.size() && file_[at_] != '\n') ++at_;
            else
                ++at_;
        }
        std::uint64_t value = 0;
        const std::size_t first = at_;
        for (; at_ < file_.size() && file_[at_] >= '0' && file_[at_] <= '9'; ++at_)
            value = value > most_pixels ? value : value * 10 + (file_[at_] - std::uint64_t{'0'});
        if (at_ == first) throw std::runtime_error("its header is cut off");
        return value;
    }

    /// Return the offset of the pixels, which begin after one blank.
    std::size_t end() const { return at_ + 1; }

  private:
    static bool is_blank(std::uint8_t byte) {
        return byte == ' ' || (byte >= '\t' && byte <= '\r');
    }

    const std::vector<std::uint8_t>& file_;
    std::size_t at_ = 2;
};

std::vector<std::uint8_t> content_of(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                               std::fclose);
    std::vector<std::uint8_t> content;
    if (!file) return content;
    std::uint8_t block[1 << 16];
    errno = 0;
    for (std::size_t read; (read = std::fread(block, 1, sizeof block, file.get())) > 0;)
        content.insert(content.end(), block, block + read);
    if (!std::ferror(file.get())) errno = 0;
    return content;
}

}  // namespace

Reader reader_of(const kexport::Model& model) {
    const kexport::InputInfo& input = model.inputs()[0];
    if (input.resize.method.rfind("pil-", 0) == 0) return {};
    Reader reader{Grey16::high_byte, Jpeg::accurate};
    if (input.resize.method.rfind("tf-", 0) == 0)
        reader.jpeg = input.color == "GRAY" ? Jpeg::fast_grey : Jpeg::fast;
    return reader;
}

Unsuitable too_large() {
    return {"is too large: it has more than 178956970 pixels", "scale it down first"};
}

Image sized(std::uint64_t width, std::uint64_t height, int channels) {
    if (width == 0 || height == 0) throw std::runtime_error("it has no pixels");
    if (width > most_pixels || height > most_pixels / width)
        throw too_large();
    Image image{static_cast<int>(width), static_cast<int>(height), channels, {}};
    image.values.resize(static_cast<std::size_t>(width * height) *
                        static_cast<std::size_t>(channels));
    return image;
}

Image decode_ppm(const std::vector<std::uint8_t>& file) {
    Header header(file);
    const std::uint64_t width = header.number(), height = header.number();
    if (header.number() != 255) throw std::runtime_error("its greatest value is not 255");
    if (width != 0 && file.size() / width < height) throw std::runtime_error("it is cut off");
    Image image = sized(width, height, file[1] == '6' ? 3 : 1);
    if (file.size() < header.end() || file.size() - header.end() < image.values.size())
        throw std::runtime_error("it is cut off");
    std::memcpy(image.values.data(), file.data() + header.end(), image.values.size());
    return image;
}

kexport::Result<Image> decode(const std::string& path, [[maybe_unused]] const Reader& reader) {
    errno = 0;
    const std::vector<std::uint8_t> file = content_of(path);
    if (errno != 0) return bad(path + " cannot be opened: " + std::strerror(errno), "");
    try {
        if (begins(file, "P6") || begins(file, "P5")) return decode_ppm(file);
        if (begins(file, "\xff\xd8\xff")) {
#ifdef KEXPORT_JPEG
            return decode_jpeg(file, reader.jpeg);
#else
            return bad(path + " is a JPEG, and this program was built without libjpeg",
                       "install libjpeg-dev and build again, or convert the image to PPM");
#endif
        }
        if (begins(file, "\x89PNG\r\n\x1a\n")) {
#ifdef KEXPORT_PNG
            return decode_png(file, reader.grey16);
#else
            return bad(path + " is a PNG, and this program was built without libpng",
                       "install libpng-dev and build again, or convert the image to PPM");
#endif
        }
    } catch (const Unsuitable& error) {
        return bad(path + " " + error.what(), error.hint);
    } catch (const std::exception& error) {
        return bad(path + " is damaged: " + error.what(), hint);
    }
    return bad(path + " is not an image in JPEG, PNG or PPM",
               "convert it to one of these; run.py opens more formats");
}

}  // namespace programs
