/// File hashes: the files of a bundle against the sizes and SHA-256 in its manifest; as
/// runtime/file_hashes.py.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace kexport {

/// Return the SHA-256 over the content of several files, one after another, in lower-case
/// hexadecimal. Throws a Refusal where one cannot be read.
std::string sha256_of(const std::vector<std::filesystem::path>& paths);

/// Compare every file that the manifest lists with its size and SHA-256. Sizes come first, since
/// they cost nothing, then files that are not listed; runtime/file_hashes.py says which of those
/// are allowed. Throws a Refusal that names the first file that is missing, that is not a plain
/// file, that leads out of the bundle through a link, that is not listed, or that differs.
void check_files(const std::filesystem::path& bundle, const Manifest& manifest);

}  // namespace kexport
