#include "segment.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "classes.hpp"
#include "errors.hpp"
#include "text.hpp"

namespace kexport {

namespace {

/// Return the class of each cell.
std::vector<std::uint8_t> cells_of(const std::vector<double>& values, std::size_t channels,
                                   const TaskInfo& task, double threshold) {
    std::vector<std::uint8_t> cells(values.size() / channels);
    for (std::size_t at = 0; at < cells.size(); ++at) {
        const auto first = values.begin() + static_cast<std::ptrdiff_t>(at * channels);
        if (channels == 1) {
            cells[at] = (task.from_logits ? sigmoid(*first) : *first) >= threshold ? 1 : 0;
        } else {
            const auto last = first + static_cast<std::ptrdiff_t>(channels);
            cells[at] = static_cast<std::uint8_t>(std::max_element(first, last) - first);
        }
    }
    return cells;
}

std::vector<std::string> names_of_classes(std::size_t channels,
                                          const std::vector<std::string>& labels) {
    if (channels == 1) {
        const auto [no, yes] = answers_of(labels);
        return {no, yes};
    }
    std::vector<std::string> names = labels;
    for (std::size_t index = names.size(); index < channels; ++index)
        names.push_back(cat("class ", index));
    return names;
}

std::vector<Share> shares_of(const std::vector<std::uint8_t>& classes,
                             const std::vector<std::string>& names) {
    std::array<std::int64_t, 256> counts{};
    for (const std::uint8_t index : classes) ++counts[index];
    const auto seen = static_cast<std::int64_t>(classes.size()) - counts[Mask::unseen];
    std::vector<std::size_t> order(names.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
    std::vector<Share> shares;
    for (const std::size_t index : order)
        if (counts[index] > 0)
            shares.push_back({static_cast<std::int64_t>(index), names[index],
                              static_cast<double>(counts[index]) / static_cast<double>(seen)});
    return shares;
}

}  // namespace

Color voc_color(std::int64_t index) {
    Color color{};
    for (unsigned bit = 0; bit < 8; ++bit)
        for (unsigned channel = 0; channel < 3; ++channel)
            color[channel] = static_cast<std::uint8_t>(
                color[channel] | (index >> (3 * bit + channel) & 1) << (7 - bit));
    return color;
}

Mask mask_of(const Array& output, const TaskInfo& task, const std::vector<std::string>& labels,
             double threshold, const Placement& placement) {
    if (output.shape.size() != 4 || output.shape[3] < 1 || output.shape[3] > Mask::unseen ||
        output.data.empty())
        refuse_input("the model returns no scores [N, h, w, classes] for a mask");
    const auto channels = static_cast<std::size_t>(output.shape[3]);
    const std::vector<std::uint8_t> cells =
        cells_of(first_sample(output), channels, task, threshold);
    const std::vector<std::int64_t> rows = placement.rows.cells(output.shape[1]);
    const std::vector<std::int64_t> columns = placement.columns.cells(output.shape[2]);
    Mask mask;
    mask.height = static_cast<int>(rows.size());
    mask.width = static_cast<int>(columns.size());
    mask.classes.reserve(rows.size() * columns.size());
    for (const std::int64_t row : rows)
        for (const std::int64_t column : columns)
            mask.classes.push_back(
                row < 0 || column < 0
                    ? Mask::unseen
                    : cells[static_cast<std::size_t>(row * output.shape[2] + column)]);
    const std::vector<std::string> names = names_of_classes(channels, labels);
    mask.shares = shares_of(mask.classes, names);
    mask.palette = task.palette;
    if (mask.palette.empty())
        for (std::size_t index = 0; index < names.size(); ++index)
            mask.palette.push_back(voc_color(static_cast<std::int64_t>(index)));
    return mask;
}

}  // namespace kexport
