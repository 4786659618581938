/// Reading files, with a Refusal where one cannot be read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace kexport {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// Throw the Refusal for a file that cannot be read, which it calls `name`; `reason` is an errno.
[[noreturn]] void refuse_unreadable(const std::string& name, int reason);

/// Open a file for reading. Throws a Refusal that calls it `name`.
File open_file(const std::filesystem::path& path, const std::string& name);

/// Read the content of a file of at most `largest` bytes. Throws a Refusal that calls it `name`.
std::string read_file(const std::filesystem::path& path, const std::string& name,
                      std::uintmax_t largest);

}  // namespace kexport
