#include "embed.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "errors.hpp"
#include "files.hpp"
#include "npy.hpp"
#include "text.hpp"
#include "zip.hpp"

namespace kexport {

namespace {

constexpr std::uintmax_t largest_gallery = std::uintmax_t{4} << 30;
constexpr char gallery_hint[] = "write it in Python, with Gallery.save";

double dot(const double* a, const double* b, std::size_t size) {
    return std::inner_product(a, a + size, b, 0.0);
}

Gallery parsed_gallery(const std::string& content) {
    Gallery gallery;
    std::vector<std::int64_t> shape;
    bool has_names = false;
    for (const ZipMember& member : zip_members(content)) {
        if (member.name == "names.npy") {
            gallery.names = parse_texts(unzipped(content, member));
            has_names = true;
        } else if (member.name == "vectors.npy") {
            const Array vectors = parse_npy(unzipped(content, member));
            shape = vectors.shape;
            if (vectors.dtype != DType::boolean) gallery.vectors = doubles(vectors);
        }
    }
    const bool fits = has_names && shape.size() == 2 && !gallery.vectors.empty() &&
                      shape[0] == static_cast<std::int64_t>(gallery.names.size());
    if (!fits) throw std::runtime_error("it has no vector for each name");
    return gallery;
}

}  // namespace

Embedding embedding_of(const Array& output, const Gallery* gallery, std::size_t count) {
    Embedding found{first_sample(output), {}};
    if (gallery == nullptr) return found;
    const std::size_t size = found.vector.size(), images = gallery->names.size();
    if (images == 0 || gallery->vectors.size() != images * size)
        refuse_input(cat("the gallery has ", gallery->vectors.size(), " numbers for ", images,
                         " images, and the model gives ", size, " for an image"),
                     "make the gallery with this bundle");
    const double own = std::sqrt(dot(found.vector.data(), found.vector.data(), size));
    std::vector<double> cosines(images, 0.0);
    for (std::size_t at = 0; at < images; ++at) {
        const double* other = &gallery->vectors[at * size];
        const double lengths = own * std::sqrt(dot(other, other, size));
        if (lengths > 0.0) cosines[at] = dot(found.vector.data(), other, size) / lengths;
    }
    std::vector<std::size_t> order(images);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return cosines[a] > cosines[b]; });
    order.resize(std::min(count, images));
    for (const std::size_t at : order)
        found.neighbours.push_back({gallery->names[at], cosines[at]});
    return found;
}

Result<Gallery> read_gallery(const std::string& path) noexcept {
    return guarded<Gallery>([&]() -> Result<Gallery> {
        try {
            return parsed_gallery(read_file(path, path, largest_gallery));
        } catch (const Refusal& refusal) {
            refuse_input(cat("the gallery ", path, " cannot be read: ", refusal.fault.message),
                         gallery_hint);
        } catch (const std::runtime_error& error) {
            refuse_input(cat("the gallery ", path, " cannot be read: ", error.what()),
                         gallery_hint);
        }
    });
}

}  // namespace kexport
