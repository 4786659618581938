/// Classify a PPM image: label-image BUNDLE IMAGE.ppm
#include <fstream>
#include <iostream>
#include <vector>

#include "kexport.hpp"

namespace {

int report(const kexport::Fault& fault) {
    std::cerr << "error: " << fault.message << '\n';
    if (!fault.hint.empty()) std::cerr << "hint: " << fault.hint << '\n';
    return static_cast<int>(fault.status);
}

}  // namespace

int main(int count, char** words) {
    if (count != 3) {
        std::cerr << "usage: label-image BUNDLE IMAGE.ppm\n";
        return 2;
    }
    std::ifstream file(words[2], std::ios::binary);
    std::string mark;
    int width = 0, height = 0, greatest = 0;
    file >> mark >> width >> height >> greatest;
    if (mark != "P6" || greatest != 255 || width < 1 || height < 1 || width > 10000 ||
        height > 10000)
        return report({kexport::Status::bad_image, std::string(words[2]) + " is not a PPM image", ""});
    std::vector<char> pixels(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
    file.get();
    if (!file.read(pixels.data(), static_cast<std::streamsize>(pixels.size())))
        return report({kexport::Status::bad_image, std::string(words[2]) + " is cut off", ""});

    const auto model = kexport::Model::open(words[1]);
    if (!model) return report(model.fault());
    const auto best = model->classify(reinterpret_cast<const std::uint8_t*>(pixels.data()), width,
                                      height, 0, kexport::PixelFormat::rgb, 3);
    if (!best) return report(best.fault());
    for (const kexport::Prediction& found : *best)
        std::cout << found.label << ' ' << found.score << '\n';
}
