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

}  // namespace kexport
