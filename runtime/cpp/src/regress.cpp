#include "regress.hpp"

#include "text.hpp"

namespace kexport {

std::vector<Number> numbers_of(const Arrays& outputs, const TaskInfo& task,
                               const std::vector<std::string>& labels) {
    std::vector<Number> found;
    for (const std::string& name : task.outputs) {
        const std::vector<double> values = first_sample(outputs.at(name));
        for (std::size_t place = 0; place < values.size(); ++place)
            found.push_back(
                {values.size() == 1 ? name : cat(name, "[", place, "]"), values[place]});
    }
    if (labels.size() == found.size())
        for (std::size_t at = 0; at < found.size(); ++at) found[at].name = labels[at];
    return found;
}

std::vector<RawOutput> raw_outputs(const Arrays& outputs, const std::vector<OutputInfo>& infos) {
    std::vector<RawOutput> found;
    for (const OutputInfo& info : infos) {
        const Array& output = outputs.at(info.name);
        found.push_back({info.name, output.dtype, output.shape, output.data});
        found.back().shape.erase(found.back().shape.begin());
    }
    return found;
}

}  // namespace kexport
