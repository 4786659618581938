/// kexport-classify BUNDLE IMAGE...: classify images.
#include <algorithm>
#include <cstdio>
#include <limits>

#include "../src/text.hpp"
#include "decode.hpp"
#include "terminal.hpp"

namespace {

using Predictions = std::vector<kexport::Prediction>;

struct Answer {
    std::string image;
    Predictions best;
};

void print(const std::vector<Answer>& answers) {
    std::size_t width = 0;
    for (const Answer& answer : answers)
        for (const kexport::Prediction& one : answer.best)
            width = std::max(width, kexport::printable(one.label).size());
    const char* gap = "";
    for (const Answer& answer : answers) {
        std::printf("%s%s\n", gap, kexport::printable(answer.image).c_str());
        for (const kexport::Prediction& one : answer.best)
            std::printf("  %-*s  %.4f\n", static_cast<int>(width),
                        kexport::printable(one.label).c_str(), one.score);
        gap = "\n";
    }
}

kexport::Result<Predictions> classified(const kexport::Model& model, const std::string& path,
                                        int top_k) {
    const auto image = programs::decode(path, programs::reader_of(model));
    if (!image) return image.fault();
    const auto format =
        image->channels == 1 ? kexport::PixelFormat::gray : kexport::PixelFormat::rgb;
    return model.classify(image->values.data(), image->width, image->height, 0, format,
                          static_cast<std::size_t>(top_k));
}

}  // namespace

int main(int count, char** words) {
    terminal::disable_telemetry();
    const terminal::Arguments arguments =
        terminal::read(count, words, "kexport-classify BUNDLE IMAGE... [options]",
                       "Classify images.", {{"-k", "K", "how many classes to print (default 5)"}},
                       2, std::numeric_limits<std::size_t>::max());
    const auto model = kexport::Model::open(arguments.plain[0], arguments.options);
    if (!model) return terminal::print_fault(model.fault());
    terminal::warn(model->warning());
    int status = 0;
    std::vector<Answer> answers;
    for (std::size_t at = 1; at < arguments.plain.size(); ++at) {
        const std::string& path = arguments.plain[at];
        auto best = classified(*model, path, arguments.top_k);
        if (best) {
            answers.push_back({path, std::move(*best)});
            continue;
        }
        status = terminal::print_fault(best.fault());
        if (best.fault().status != kexport::Status::bad_image) return status;
    }
    print(answers);
    return status;
}
