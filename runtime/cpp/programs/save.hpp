/// Answers as files: masks, images and boxes as PNG, outputs as .npz; as runtime/save.py.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "decode.hpp"

namespace programs {

/// Writes answers into a folder, under the names of their images. Two images of the same name get
/// files of different names: cat.png, cat-2.png. An image that is answered is never replaced.
class Saver {
  public:
    /// Make the folder; `images` are all that are answered. Faults: bad_input for a task whose answers are no files, or a folder that
    /// cannot be made.
    static kexport::Result<Saver> open(const std::string& folder, const kexport::TaskInfo& task,
                                       const std::vector<std::string>& images);

    /// Write the answer for the image of a file, and return its path; an older file of that name is
    /// replaced. Faults: bad_input if it cannot be written, or if that file is an image.
    kexport::Result<std::string> save(const std::string& path, const Image& image,
                                      const kexport::Answer& answer);

  private:
    Saver(std::string folder, std::string suffix)
        : folder_(std::move(folder)), suffix_(std::move(suffix)) {}

    std::string folder_, suffix_;
    std::set<std::string> taken_;
    std::map<std::string, std::string> images_;  // by their paths without links
};

}  // namespace programs
