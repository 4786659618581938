#include "save.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "draw.hpp"
#include "encode_npz.hpp"
#include "encode_png.hpp"

namespace programs {

namespace fs = std::filesystem;

namespace {

kexport::Fault unwritable(const std::string& folder, const std::string& reason) {
    return {kexport::Status::bad_input, folder + " cannot be written: " + reason,
            "give another folder with --save"};
}

/// Return the content of an answer's file; empty for an answer that has none.
std::string content_of(const Image& image, const kexport::Answer& answer) {
    if (const auto* mask = std::get_if<kexport::Mask>(&answer))
        return encode_png(mask->classes, mask->width, mask->height, 1, mask->palette);
    if (const auto* made = std::get_if<kexport::OutputImage>(&answer))
        return encode_png(made->pixels, made->width, made->height, made->channels);
    if (const auto* outputs = std::get_if<std::vector<kexport::RawOutput>>(&answer))
        return encode_npz(*outputs);
    if (const auto* boxes = std::get_if<std::vector<kexport::Box>>(&answer)) {
        const Image picture = drawn(image, *boxes);
        return encode_png(picture.values, picture.width, picture.height, picture.channels);
    }
    return {};
}

}  // namespace

kexport::Result<Saver> Saver::open(const std::string& folder, const kexport::TaskInfo& task,
                                   const std::vector<std::string>& images) {
    const bool is_image =
        task.name == "segment" || task.name == "detect" || task.name == "image";
    if (!is_image && task.name != "raw")
        return kexport::Fault{kexport::Status::bad_input,
                              "the task " + task.name + " has no files to save",
                              "leave out --save, and add --jsonl to keep the answers"};
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return unwritable(folder, error.message());
    Saver saver(folder, is_image ? ".png" : ".npz");
    for (const std::string& image : images) {
        const fs::path path = fs::weakly_canonical(image, error);
        if (!error) saver.images_.emplace(path.string(), image);
    }
    return saver;
}

kexport::Result<std::string> Saver::save(const std::string& path, const Image& image,
                                         const kexport::Answer& answer) {
    const std::string stem = fs::path(path).stem().string();
    std::string name = stem;
    for (int count = 2; !taken_.insert(name).second; ++count)
        name = stem + "-" + std::to_string(count);
    const fs::path to = fs::path(folder_) / (name + suffix_);
    std::error_code error;
    const auto image_at = images_.find(fs::weakly_canonical(to, error).string());
    if (image_at != images_.end() || fs::equivalent(to, path, error)) {
        const bool is_own = image_at == images_.end() || image_at->second == path;
        return kexport::Fault{kexport::Status::bad_input,
                              "the answer for " + path + " would replace " +
                                  (is_own ? "the image itself" : "the image " + image_at->second),
                              "give another folder with --save"};
    }
    try {
        const std::string content = content_of(image, answer);
        errno = 0;
        std::ofstream file(to, std::ios::binary);
        file << content;
        file.close();
        if (!file) return unwritable(folder_, std::strerror(errno));
    } catch (const std::runtime_error& fault) {
        return unwritable(folder_, fault.what());
    }
    return to.string();
}

}  // namespace programs
