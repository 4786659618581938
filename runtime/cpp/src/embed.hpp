/// Embeddings as answers (task embed), and the nearest images of a gallery; as runtime/embed.py.
#pragma once

#include "array.hpp"

namespace kexport {

/// Return the numbers of the first sample, and the `count` images of the gallery with the largest
/// cosine, the first of equal ones first. Throws a Refusal for a gallery of other vectors.
Embedding embedding_of(const Array& output, const Gallery* gallery, std::size_t count);

}  // namespace kexport
