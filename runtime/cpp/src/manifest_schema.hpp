/// Manifest schema (docs/manifest.schema.json) as a table of small checks; as
/// runtime/manifest_schema.py.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace kexport {

/// The version of the manifest schema that this runtime reads.
inline constexpr int schema_number = 1;

/// Return a sentence for the first way in which parsed JSON violates the schema, if any.
std::optional<std::string> schema_fault(const nlohmann::json& manifest);

}  // namespace kexport
