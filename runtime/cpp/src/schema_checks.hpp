/// Small checks of parsed JSON, and ways to build larger ones from them; as
/// runtime/schema_checks.py.
///
/// A check takes a value and its path in the document, and throws a SchemaViolation for the first
/// fault. As in JSON Schema, true and false are not numbers, and 1.0 is an integer. Numbers must be
/// finite.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace kexport::schema_checks {

using Json = nlohmann::json;
using Check = std::function<void(const Json& value, const std::string& where)>;

/// A sentence that says how a value violates the schema.
struct SchemaViolation {
    std::string sentence;
};

/// A value that a schema names: a text, a whole number, or null. Lists of these are data, where lists
/// of Json would be code that makes them, and much of it.
struct Named {
    constexpr Named(const char* t) : text(t) {}
    constexpr Named(int n) : number(n), is_number(true) {}
    constexpr Named(std::nullptr_t) {}

    const char* text = nullptr;
    int number = 0;
    bool is_number = false;
};

/// A key of an object, and what its value must pass.
struct Field {
    const char* key;
    Check check;
};

/// Describe a value as Python's checks do: 'text', 1.5, true, an object, a list of 3.
std::string shown(const Json& value);

void non_empty_string(const Json& value,
                      const std::string& where);             ///< with at least one character
void string(const Json& value, const std::string& where);    ///< which may be empty
void boolean(const Json& value, const std::string& where);   ///< true or false
void anything(const Json& value, const std::string& where);  ///< anything at all

Check integer(int minimum);               ///< a whole number of at least `minimum`
Check number();                           ///< any number
Check number(int minimum);                ///< a number of at least `minimum`
Check number(int minimum, int maximum);   ///< a number between limits that belong to it
Check one_of(std::vector<Named> allowed);  ///< one of the given values
Check or_null(Check inner);               ///< null, or what `inner` allows
Check list_of(Check inner, std::size_t minimum = 0);
Check tuple_of(std::vector<Check> inner);  ///< a list with one item for each check
Check all_of(std::vector<Check> checks);   ///< what every one of the checks allows

/// Return a check for a string that `fits`; `wanted` describes such a string.
Check matching(bool (*fits)(const std::string&), std::string wanted);

/// Return a check for an object whose values pass `inner` and whose keys pass `keys`.
Check mapping_of(Check inner, Check keys = anything);

/// Return a check for an object that has these keys, with values that pass their checks. Other keys
/// are allowed.
Check object_with(std::vector<Field> fields);

/// Return a check that applies `inner` to what an object has under `key`, if it has that key.
Check if_present(const char* key, Check inner);

/// Return a check that applies `then` to objects whose `key` has the value `expected`.
Check when(const char* key, const char* expected, Check then);

}  // namespace kexport::schema_checks
