/// Embeddings as answers (task embed); as runtime/embed.py, whose galleries are Python's alone.
#pragma once

#include "array.hpp"

namespace kexport {

/// Return the numbers of the first sample.
Embedding embedding_of(const Array& output);

}  // namespace kexport
