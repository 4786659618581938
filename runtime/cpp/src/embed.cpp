#include "embed.hpp"

namespace kexport {

Embedding embedding_of(const Array& output) {
    return {first_sample(output)};
}

}  // namespace kexport
