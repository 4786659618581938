#include "files.hpp"

#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "text.hpp"

namespace kexport {

void refuse_unreadable(const std::string& name, int reason) {
    refuse_bundle(cat(name, " cannot be read: ", std::strerror(reason)));
}

File open_file(const std::filesystem::path& path, const std::string& name) {
    File file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (!file) refuse_unreadable(name, errno);
    return file;
}

std::string read_file(const std::filesystem::path& path, const std::string& name,
                      std::uintmax_t largest) {
    const File file = open_file(path, name);
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    if (error) refuse_unreadable(name, error.value());
    if (size > largest) refuse_bundle(cat(name, " is too large: ", size, " bytes"), export_again);
    std::string content(static_cast<std::size_t>(size), '\0');
    content.resize(std::fread(content.data(), 1, content.size(), file.get()));
    if (std::ferror(file.get())) refuse_unreadable(name, errno);
    return content;
}

}  // namespace kexport
