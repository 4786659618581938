/// Reading files, and holding a bundle's files to its manifest; as runtime/file_hashes.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "manifest.hpp"

namespace kexport {

/// The content of a file of at most `largest` bytes. Throws a Refusal that calls it `name`.
std::string read_file(const std::filesystem::path& path, const std::string& name,
                      std::uintmax_t largest);

/// SHA-256 over the content of some files, one behind the other, in lower-case hexadecimal. Throws
/// a Refusal where one cannot be read.
std::string sha256_of(const std::vector<std::filesystem::path>& paths);

/// Compare every file the manifest lists with its size and SHA-256. Sizes come first, since they
/// cost nothing, then files that are not listed; runtime/file_hashes.py says which of those are let
/// through. Throws a Refusal naming the first file that is missing, that is not a plain file, that
/// leads out of the bundle through a link, that is not listed, or that differs.
void check_files(const std::filesystem::path& bundle, const Manifest& manifest);

}  // namespace kexport
