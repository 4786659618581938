/// two-bundles FIRST SECOND IMAGE.rgb WIDTH HEIGHT: classify an image with two bundles at once, and
/// print the best class of each.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kexport.hpp"

int main(int, char** words) {
    std::ifstream file(words[3], std::ios::binary);
    const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
    const auto* pixels = reinterpret_cast<const std::uint8_t*>(image.data());
    const int width = std::stoi(words[4]), height = std::stoi(words[5]);
    std::vector<kexport::Model> models;
    for (const char* bundle : {words[1], words[2]}) {
        auto opened = kexport::Model::open(bundle);
        if (!opened) return static_cast<int>(opened.fault().status);
        models.push_back(std::move(*opened));
    }
    for (const kexport::Model& model : models) {
        const auto best = model.classify(pixels, width, height, 0, kexport::PixelFormat::rgb, 1);
        if (!best) return static_cast<int>(best.fault().status);
        std::printf("%s %.6f\n", best->front().label.c_str(), best->front().score);
    }
}
