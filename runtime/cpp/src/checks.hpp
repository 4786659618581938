/// Small checks of parsed JSON, and ways to build larger ones from them; as runtime/schema_checks.py.
///
/// A check takes a value and the place where it stands, and throws a Departure for the first fault.
/// As in JSON Schema, true and false are no numbers, and 1.0 is a whole one. Numbers
/// are finite.
#pragma once

#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace kexport::checks {

using Json = nlohmann::json;
using Check = std::function<void(const Json& value, const std::string& where)>;

/// How a value departs from what it must be, in a sentence.
struct Departure {
    std::string sentence;
};

/// A value in words, as Python writes it: 'text', 1.5, true, an object, a list of 3.
std::string shown(const Json& value);

void text(const Json& value, const std::string& where);      ///< with at least one character
void string(const Json& value, const std::string& where);    ///< which may be empty
void flag(const Json& value, const std::string& where);      ///< true or false
void anything(const Json& value, const std::string& where);  ///< anything at all

Check whole(int minimum);                  ///< a whole number of at least `minimum`
Check number();                            ///< any number
Check number(int minimum);                 ///< a number of at least `minimum`
Check number(int minimum, int maximum);    ///< a number between limits that belong to it
Check exactly(std::vector<Json> allowed);  ///< one of the given values
Check or_null(Check inner);                ///< null, or what `inner` allows
Check list_of(Check inner, std::size_t minimum = 0);
Check fixed(std::vector<Check> inner);    ///< a list with one item for each check
Check all_of(std::vector<Check> checks);  ///< what every one of the checks allows

/// A text that `fits`; `wanted` describes such a text.
Check matching(bool (*fits)(const std::string&), std::string wanted);

/// An object whose values are as `inner` wants them, under any names that `keys` allows.
Check table_of(Check inner, Check keys = anything);

/// An object with these keys, each as its check wants it; other keys are let through.
Check record(std::vector<std::pair<std::string, Check>> fields);

/// Anything, but what an object has under `key` must be as `inner` wants it.
Check given(std::string key, Check inner);

/// Anything, but an object whose `key` is `expected` must be as `then` wants it.
Check when(std::string key, std::string expected, Check then);

}  // namespace kexport::checks
