#include "output_image.hpp"

#include <cmath>

#include "errors.hpp"

namespace kexport {

namespace {

std::uint8_t byte_of(double share) {
    if (!(share > 0.0)) return 0;
    return static_cast<std::uint8_t>(std::nearbyint(std::fmin(share, 1.0) * 255));
}

}  // namespace

OutputImage image_of(const Array& output, const TaskInfo& task) {
    if (output.shape.size() != 4 || (output.shape[3] != 1 && output.shape[3] != 3))
        refuse_input("the model returns no pixels [N, h, w, 1 or 3] for an image");
    OutputImage image{static_cast<int>(output.shape[2]), static_cast<int>(output.shape[1]),
                      static_cast<int>(output.shape[3]), {}};
    for (const double value : first_sample(output))
        image.pixels.push_back(byte_of((value - task.least) / (task.largest - task.least)));
    return image;
}

}  // namespace kexport
