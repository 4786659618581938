/// What a manifest must look like (docs/manifest.schema.json); as runtime/manifest_schema.py.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace kexport {

/// The number of the manifest form that this runtime reads.
inline constexpr int manifest_schema = 1;

/// A sentence for the first way in which parsed JSON departs from the contract, if any.
std::optional<std::string> contract_fault(const nlohmann::json& manifest);

}  // namespace kexport
