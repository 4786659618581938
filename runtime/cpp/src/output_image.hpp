/// Images as answers (task image); as runtime/output_image.py.
#pragma once

#include "array.hpp"

namespace kexport {

/// Return the first sample of [N, h, w, 1 or 3] as bytes: `task.least` becomes 0, `task.largest` 255.
/// Values between are rounded to the nearest byte, halves to the even one; others are clipped.
/// Throws a Refusal for another shape.
OutputImage image_of(const Array& output, const TaskInfo& task);

}  // namespace kexport
