#include "placement.hpp"

#include <algorithm>

namespace kexport {

namespace {

Axis whole(std::int64_t own, std::int64_t frame) {
    return {own, 0, own, 0, frame, frame};
}

Axis cropped(std::int64_t own, std::int64_t share, std::int64_t frame) {
    const std::int64_t length = std::max<std::int64_t>(std::min(own, share), 1);
    return {own, (own - length) / 2, length, 0, frame, frame};
}

Axis padded(std::int64_t own, std::int64_t share, std::int64_t frame) {
    const std::int64_t length = std::max<std::int64_t>(std::min(frame, share), 1);
    return {own, 0, own, (frame - length) / 2, length, frame};
}

}  // namespace

std::vector<std::int64_t> Axis::cells(std::int64_t count) const {
    std::vector<std::int64_t> found(static_cast<std::size_t>(own), -1);
    for (std::int64_t pixel = 0; pixel < length; ++pixel) {
        const std::int64_t place = 2 * length * to_start + (2 * pixel + 1) * to_length;
        found[static_cast<std::size_t>(start + pixel)] =
            std::min(count * place / (2 * length * frame), count - 1);
    }
    return found;
}

double Axis::own_place(double place) const {
    const double found = static_cast<double>(start) + (place - static_cast<double>(to_start)) *
                                                          static_cast<double>(length) /
                                                          static_cast<double>(to_length);
    return std::min(std::max(found, 0.0), static_cast<double>(own));
}

Placement placement_of(const Manifest& manifest, std::int64_t height, std::int64_t width) {
    const std::int64_t tall = manifest.frame.height, wide = manifest.frame.width;
    if (tall < 0 || wide < 0) return {whole(height, height), whole(width, width)};
    if (manifest.fit == "crop")
        return {cropped(height, width * tall / wide, tall), cropped(width, height * wide / tall, wide)};
    if (manifest.fit == "pad")
        return {padded(height, height * wide / width, tall), padded(width, width * tall / height, wide)};
    return {whole(height, tall), whole(width, wide)};
}

}  // namespace kexport
