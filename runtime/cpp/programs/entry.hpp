/// Answers as JSON, with the keys that run.py prints.
#pragma once

#include <string>

#include "../kexport.hpp"

namespace programs {

/// Return an image's answer as a line of JSON; `saved` is the file that was written, or empty.
std::string entry_of(const std::string& image, const kexport::Answer& answer,
                     const kexport::Settings& settings, const kexport::TaskInfo& task,
                     const std::string& saved);

/// Return the line for an image that has no answer.
std::string entry_of(const std::string& image, const kexport::Fault& fault);

}  // namespace programs
