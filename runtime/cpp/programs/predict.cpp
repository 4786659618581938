/// kexport-predict BUNDLE IMAGE...: answer for images by the bundle's task.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>

#include "../src/array.hpp"
#include "../src/text.hpp"
#include "decode.hpp"
#include "entry.hpp"
#include "save.hpp"
#include "terminal.hpp"

namespace {

using Row = std::vector<std::string>;

std::string formatted(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::vector<Row> rows_of(const std::vector<kexport::Prediction>& found, double threshold) {
    if (found.empty()) return {{"none", "no score of " + formatted("%g", threshold) + " or more"}};
    std::vector<Row> rows;
    for (const kexport::Prediction& one : found)
        rows.push_back({one.label, formatted("%.4f", one.score)});
    return rows;
}

std::vector<Row> rows_of(const kexport::Decision& found, double) {
    return {{found.label, formatted("%.4f", found.score), formatted("%g", found.threshold)}};
}

std::vector<Row> rows_of(const kexport::Mask& found, double) {
    std::vector<Row> rows;
    for (const kexport::Share& one : found.shares)
        rows.push_back({one.label, formatted("%.2f %%", 100 * one.share)});
    return rows;
}

std::vector<Row> rows_of(const std::vector<kexport::Box>& found, double) {
    if (found.empty()) return {{"none", "", "", "", "", ""}};
    std::vector<Row> rows;
    for (const kexport::Box& one : found)
        rows.push_back({one.label, formatted("%.4f", one.score), formatted("%.1f", one.left),
                        formatted("%.1f", one.top), formatted("%.1f", one.right),
                        formatted("%.1f", one.bottom)});
    return rows;
}

std::vector<Row> rows_of(const std::vector<kexport::Number>& found, double) {
    std::vector<Row> rows;
    for (const kexport::Number& one : found)
        rows.push_back({one.name, formatted("%.6g", one.value)});
    return rows;
}

std::vector<Row> rows_of(const kexport::Embedding& found, double) {
    if (!found.neighbours.empty()) {
        std::vector<Row> rows;
        for (const kexport::Neighbour& one : found.neighbours)
            rows.push_back({one.name, formatted("%.4f", one.similarity)});
        return rows;
    }
    double squares = 0.0;
    for (const double value : found.vector) squares += value * value;
    return {{std::to_string(found.vector.size()), formatted("%.6g", std::sqrt(squares))}};
}

std::vector<Row> rows_of(const kexport::OutputImage& image, double) {
    return {{std::to_string(image.width), std::to_string(image.height),
             std::to_string(image.channels)}};
}

/// Print the smallest, mean and largest number of each output.
std::vector<Row> rows_of(const std::vector<kexport::RawOutput>& found, double) {
    std::vector<Row> rows;
    for (const kexport::RawOutput& one : found) {
        std::string sizes;
        for (const std::int64_t size : one.shape)
            sizes += kexport::cat(sizes.empty() ? "" : ", ", size);
        rows.push_back({one.name, kexport::cat(kexport::name_of(one.dtype), " [", sizes, "]")});
        const std::vector<double> values = kexport::doubles({one.dtype, one.shape, one.data});
        if (values.empty()) {
            rows.back().insert(rows.back().end(), 3, "");
            continue;
        }
        if (std::any_of(values.begin(), values.end(),
                        [](double value) { return std::isnan(value); })) {
            rows.back().insert(rows.back().end(), 3, "nan");
            continue;
        }
        const auto [least, largest] = std::minmax_element(values.begin(), values.end());
        const double sum = std::accumulate(values.begin(), values.end(), 0.0);
        for (const double value : {*least, sum / static_cast<double>(values.size()), *largest})
            rows.back().push_back(formatted("%.4g", value));
    }
    return rows;
}

struct Table {
    std::string image;
    std::vector<Row> rows;
};

/// Count the characters of UTF-8: the bytes that begin one.
std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Print the rows as run.py does: two blanks before each cell, columns aligned but the last.
void print(const std::vector<Table>& tables) {
    std::vector<std::size_t> widths;
    for (const Table& table : tables)
        for (const Row& row : table.rows) {
            widths.resize(std::max(widths.size(), row.size()), 0);
            for (std::size_t at = 0; at < row.size(); ++at)
                widths[at] = std::max(widths[at], characters(kexport::printable(row[at])));
        }
    const char* gap = "";
    for (const Table& table : tables) {
        std::printf("%s%s\n", gap, kexport::printable(table.image).c_str());
        for (const Row& row : table.rows) {
            for (std::size_t at = 0; at + 1 < row.size(); ++at) {
                const std::string cell = kexport::printable(row[at]);
                const std::string filling(widths[at] - characters(cell), ' ');
                std::printf("  %s%s", cell.c_str(), filling.c_str());
            }
            std::printf("  %s\n", kexport::printable(row.back()).c_str());
        }
        gap = "\n";
    }
}

/// An image's answer, and the file that it was written to, or empty.
struct Answered {
    kexport::Answer answer;
    std::string saved;
};

kexport::Result<Answered> answer(const kexport::Model& model, const std::string& path,
                                 const kexport::Settings& settings,
                                 std::optional<programs::Saver>& saver) {
    const auto image = programs::decode(path, programs::reader_of(model));
    if (!image) return image.fault();
    const auto format =
        image->channels == 1 ? kexport::PixelFormat::gray : kexport::PixelFormat::rgb;
    auto found =
        model.predict(image->values.data(), image->width, image->height, 0, format, settings);
    if (!found) return found.fault();
    if (!saver) return Answered{std::move(*found), {}};
    const auto saved = saver->save(path, *image, *found);
    if (!saved) return saved.fault();
    return Answered{std::move(*found), *saved};
}

void print_line(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
    terminal::disable_telemetry();
    const terminal::Arguments arguments = terminal::read(
        count, words, "kexport-predict BUNDLE IMAGE... [options]",
        "Answer for images by the bundle's task.",
        {{"-k", "K", "how many classes or neighbours to print (classify, embed; default 5)"},
         {"--threshold", "X", "least score that means yes (binary, multilabel, segment, detect)"},
         {"--iou", "X", "largest overlap of two boxes of one class (detect)"},
         {"--gallery", "FILE", "a .npz file of known vectors, to find the nearest in (embed)"},
         {"--save", "DIR", "write each answer to a file there (segment, detect, image, raw)"},
         {"--jsonl", "", "print a line of JSON for each image, as soon as it is answered"}},
        2, std::numeric_limits<std::size_t>::max());
    const auto model = kexport::Model::open(arguments.plain[0], arguments.options);
    if (!model) return terminal::print_fault(model.fault());
    terminal::warn(model->warning());
    kexport::Settings settings;
    settings.top_k = static_cast<std::size_t>(arguments.top_k);
    settings.threshold = arguments.threshold;
    settings.iou = arguments.iou;
    if (!arguments.gallery.empty()) {
        auto gallery = kexport::read_gallery(arguments.gallery);
        if (!gallery) return terminal::print_fault(gallery.fault());
        settings.gallery = std::make_shared<const kexport::Gallery>(std::move(*gallery));
    }
    std::optional<programs::Saver> saver;
    if (!arguments.save.empty()) {
        auto opened = programs::Saver::open(arguments.save, model->task(),
                                            {arguments.plain.begin() + 1, arguments.plain.end()});
        if (!opened) return terminal::print_fault(opened.fault());
        saver = std::move(*opened);
    }
    const double threshold = settings.threshold.value_or(model->task().threshold);
    int status = 0;
    std::vector<Table> tables;
    for (std::size_t at = 1; at < arguments.plain.size(); ++at) {
        const std::string& path = arguments.plain[at];
        const auto found = answer(*model, path, settings, saver);
        if (!found) {
            status = terminal::print_fault(found.fault());
            if (found.fault().status != kexport::Status::bad_image) return status;
            if (arguments.jsonl) print_line(programs::entry_of(path, found.fault()));
        } else if (arguments.jsonl) {
            print_line(programs::entry_of(path, found->answer, settings, model->task(),
                                          found->saved));
        } else {
            const auto rows = [&](const auto& one) { return rows_of(one, threshold); };
            tables.push_back({path, std::visit(rows, found->answer)});
        }
    }
    print(tables);
    return status;
}
