/// kexport-bench BUNDLE: measure the time of a run, on one thread and on all.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "../src/text.hpp"
#include "terminal.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// One sample of every input and output in memory; pixels are noise, other values zero.
class Tensors {
  public:
    explicit Tensors(const kexport::Model& model) {
        std::minstd_rand noise(1);
        for (const kexport::InputInfo& info : model.inputs()) {
            auto& memory = room(info.dtype, info.shape);
            if (!info.color.empty() && info.dtype == kexport::DType::uint8)
                for (unsigned char& value : memory)
                    value = static_cast<unsigned char>(noise() >> 8);
            inputs.emplace_back(info.name, info.dtype, memory.data(), shape_);
        }
        for (const kexport::OutputInfo& info : model.outputs())
            outputs.emplace_back(info.name, info.dtype, room(info.dtype, info.shape).data(),
                                 shape_);
    }

    std::vector<kexport::Input> inputs;
    std::vector<kexport::Output> outputs;

  private:
    std::vector<unsigned char>& room(kexport::DType dtype, const kexport::Shape& stated) {
        constexpr std::int64_t free_size = 224;
        shape_ = stated;
        for (std::size_t axis = 0; axis < shape_.rank(); ++axis)
            if (shape_[axis] < 0) shape_[axis] = axis == 0 ? 1 : free_size;
        memory_.emplace_back(static_cast<std::size_t>(shape_.elements()) *
                             kexport::bytes_of(dtype));
        return memory_.back();
    }

    kexport::Shape shape_;
    std::vector<std::vector<unsigned char>> memory_;
};

/// Run the model for this many seconds, at least 10 times; return the sorted times in milliseconds.
kexport::Result<std::vector<double>> times_of(const kexport::Model& model, const Tensors& tensors,
                                              double seconds) {
    std::vector<double> times;
    const Clock::time_point begin = Clock::now();
    while (times.size() < 10 || milliseconds_since(begin) < seconds * 1000.0) {
        const Clock::time_point start = Clock::now();
        const auto done = model.run(tensors.inputs.data(), tensors.inputs.size(),
                                    tensors.outputs.data(), tensors.outputs.size());
        if (!done) return done.fault();
        times.push_back(milliseconds_since(start));
    }
    std::sort(times.begin(), times.end());
    return times;
}

double percentile(const std::vector<double>& sorted, double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

/// Open the bundle with this many threads, 0 for all, and print a row.
int measure(const terminal::Arguments& arguments, int threads, bool first) {
    kexport::Options options = arguments.options;
    options.threads = threads;
    const Clock::time_point begin = Clock::now();
    const auto model = kexport::Model::open(arguments.plain[0], options);
    if (!model) return terminal::print_fault(model.fault());
    const double opened = milliseconds_since(begin);
    const Tensors tensors(*model);
    const auto once = times_of(*model, tensors, 0.0);
    if (!once) return terminal::print_fault(once.fault());
    const auto times = times_of(*model, tensors, arguments.seconds);
    if (!times) return terminal::print_fault(times.fault());
    if (first) {
        terminal::warn(model->warning());
        const std::string what = model->name() + " for " + model->target();
        std::printf("%s on %s; opened in %.0f ms\n\n", kexport::printable(what).c_str(),
                    kexport::printable(model->engine()).c_str(), opened);
        std::printf("threads    runs    min ms    p50 ms    p90 ms    p99 ms\n");
    }
    std::printf("%-7s %7zu %9.3f %9.3f %9.3f %9.3f\n",
                threads == 0 ? "all" : std::to_string(threads).c_str(), times->size(),
                times->front(), percentile(*times, 0.5), percentile(*times, 0.9),
                percentile(*times, 0.99));
    return 0;
}

}  // namespace

int main(int count, char** words) {
    terminal::disable_telemetry();
    const terminal::Arguments arguments =
        terminal::read(count, words, "kexport-bench BUNDLE [options]",
                       "Measure the time of a run: on one thread and on all, or on --threads N.",
                       {{"--seconds", "S", "how long to measure each (default 3)"}}, 1, 1);
    if (arguments.options.threads > 0) return measure(arguments, arguments.options.threads, true);
    const int status = measure(arguments, 1, true);
    return status != 0 ? status : measure(arguments, 0, false);
}
