#include "golden.hpp"

#include <new>
#include <stdexcept>

#include "errors.hpp"
#include "files.hpp"
#include "npy.hpp"
#include "text.hpp"
#include "zip.hpp"

namespace kexport {

namespace {

constexpr char golden_file[] = "golden.npz";
constexpr std::string_view suffix = ".npy";
constexpr std::uintmax_t largest_golden = std::uintmax_t{4} << 30;

}  // namespace

Arrays parse_npz(std::string_view content) {
    Arrays arrays;
    for (const ZipMember& member : zip_members(content)) {
        std::string_view name = member.name;
        if (name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix)
            throw std::runtime_error("a member is not a NumPy array");
        name.remove_suffix(suffix.size());
        arrays[std::string(name)] = parse_npy(unzipped(content, member));
    }
    return arrays;
}

Arrays read_golden(const std::filesystem::path& bundle, const Manifest& manifest) {
    Arrays golden;
    try {
        golden = parse_npz(read_file(bundle / golden_file, golden_file, largest_golden));
    } catch (const std::runtime_error& error) {
        refuse_bundle(cat(golden_file, " cannot be read: ", error.what()));
    } catch (const std::bad_alloc&) {
        refuse_bundle(cat(golden_file, " cannot be read: out of memory"));
    }
    const auto demand = [&golden](const std::string& name) {
        if (golden.count(name) == 0)
            refuse_bundle(cat(golden_file, " has no array for ", repr(name)));
    };
    for (const InputInfo& input : manifest.inputs) demand(input.name);
    for (const std::string_view reference : manifest.references())
        for (const OutputInfo& output : manifest.outputs) demand(cat(reference, output.name));
    return golden;
}

}  // namespace kexport
