#include "file_hashes.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "errors.hpp"
#include "files.hpp"
#include "text.hpp"

namespace kexport {

namespace fs = std::filesystem;

namespace {

/// Resolve a listed name to a path inside the bundle, following links.
fs::path inside(const fs::path& root, const std::string& name) {
    std::error_code error;
    const fs::path path = fs::weakly_canonical(root / name, error);
    if (error) return root / name;  // links in a ring: found missing below
    const bool within =
        std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
    if (!within || path == root) refuse_bundle(cat(name, " leads out of the bundle"), export_again);
    return path;
}

void check_size(const fs::path& path, const std::string& name, std::uint64_t bytes) {
    std::error_code error;
    if (!fs::exists(path, error))
        refuse_bundle(cat(name, " is missing from the bundle"), export_again);
    if (!fs::is_regular_file(path, error))
        refuse_bundle(cat(name, " is not a plain file"), export_again);
    const std::uintmax_t found = fs::file_size(path, error);
    if (error || found != bytes)
        refuse_bundle(cat(name, " has ", found, " bytes, and the manifest says ", bytes),
                      export_again);
}

/// Whether a name is that of Python bytecode for a listed file of runtime/.
bool is_bytecode(std::string_view name, const Manifest& manifest) {
    constexpr std::string_view folder = "runtime/__pycache__/", suffix = ".pyc";
    if (name.substr(0, folder.size()) != folder) return false;
    name.remove_prefix(folder.size());
    const std::size_t dot = name.find('.');
    if (dot == 0 || dot == name.npos || name.find('/') != name.npos) return false;
    const std::string_view ending = name.substr(dot + 1);  // such as cpython-312.pyc
    return ending.size() > suffix.size() &&
           ending.substr(ending.size() - suffix.size()) == suffix &&
           manifest.files.count(cat("runtime/", name.substr(0, dot), ".py")) != 0;
}

bool belongs(const std::string& name, const Manifest& manifest) {
    for (const char* own : {"manifest.json", "engine.plan", "engine.json", "timing.cache"})
        if (name == own) return true;
    return manifest.files.count(name) != 0 || is_bytecode(name, manifest);
}

/// Throw a Refusal that names the first file or link in the bundle that is not allowed there.
void refuse_unlisted(const fs::path& root, const Manifest& manifest) {
    std::string first;
    std::vector<std::string> folders{""};
    while (!folders.empty()) {
        const std::string folder = folders.back();
        folders.pop_back();
        std::error_code error;
        fs::directory_iterator entry(root / folder, error);
        for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
            const std::string name = cat(folder, entry->path().filename().native());
            const fs::file_status status = entry->symlink_status(error);
            if (error) break;
            if (fs::is_directory(status))
                folders.push_back(cat(name, "/"));
            else if (!belongs(name, manifest) && (first.empty() || name < first))
                first = name;
        }
        if (error)
            refuse_unreadable(folder.empty() ? "the bundle" : folder.substr(0, folder.size() - 1),
                              error.value());
    }
    if (!first.empty())
        refuse_bundle(cat(first, " is in the bundle, but not in manifest.json"),
                      "remove it, or copy the bundle again whole; a bundle holds only what its "
                      "manifest lists");
}

}  // namespace

std::string sha256_of(const std::vector<fs::path>& paths) {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                     EVP_MD_CTX_free);
    std::vector<unsigned char> block(1 << 20);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    bool sound = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
    for (const fs::path& path : paths) {
        const File file = open_file(path, path.native());
        for (std::size_t read; (read = std::fread(block.data(), 1, block.size(), file.get())) > 0;)
            sound = sound && EVP_DigestUpdate(context.get(), block.data(), read) == 1;
        if (std::ferror(file.get())) refuse_unreadable(path.native(), errno);
    }
    if (!sound || EVP_DigestFinal_ex(context.get(), digest, &length) != 1)
        refuse(Status::failed, "OpenSSL gives no SHA-256", "allow SHA-256 in OpenSSL's settings");
    std::string text;
    for (unsigned at = 0; at < length; ++at) {
        text += "0123456789abcdef"[digest[at] >> 4];
        text += "0123456789abcdef"[digest[at] & 15];
    }
    return text;
}

void check_files(const fs::path& bundle, const Manifest& manifest) {
    std::error_code error;
    const fs::path root = fs::canonical(bundle, error);
    if (error) refuse_unreadable(bundle.native(), error.value());
    for (const auto& [name, entry] : manifest.files)
        check_size(inside(root, name), name, entry.bytes);
    refuse_unlisted(root, manifest);
    for (const auto& [name, entry] : manifest.files)
        if (sha256_of({inside(root, name)}) != entry.sha256)
            refuse_bundle(cat(name, " does not match its SHA-256"), export_again);
}

}  // namespace kexport
