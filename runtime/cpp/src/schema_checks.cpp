#include "schema_checks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "text.hpp"

namespace kexport::schema_checks {

namespace {

[[noreturn]] void depart(const std::string& where, std::string_view wanted, const Json& value) {
    throw SchemaViolation{
        cat(where.empty() ? "the manifest" : where, " must be ", wanted, ", not ", shown(value))};
}

bool is_number_between(const Json& value, double minimum, double maximum) {
    if (!value.is_number()) return false;
    const auto number = value.get<double>();
    return std::isfinite(number) && number >= minimum && number <= maximum;
}

Check number_between(double minimum, double maximum, std::string wanted) {
    return [=](const Json& value, const std::string& where) {
        if (!is_number_between(value, minimum, maximum)) depart(where, wanted, value);
    };
}

constexpr double infinity = std::numeric_limits<double>::infinity();

Json json_of(const Named& named) {
    if (named.text != nullptr) return named.text;
    return named.is_number ? Json(named.number) : Json();
}

std::string below(const std::string& where, std::string_view key) {
    return where.empty() ? std::string(key) : cat(where, ".", key);
}

/// Return a number as Python's repr does: the fewest digits that give it back. (Json's own dump adds
/// 8 kB to a program.)
std::string digits_of(double value) {
    char text[64] = "inf";
    if (!std::isfinite(value)) return text;
    int digits = 0;
    do
        std::snprintf(text, sizeof text, "%.*e", digits, value);
    while (std::strtod(text, nullptr) != value && ++digits < 17);
    const int exponent = std::atoi(std::strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16)
        std::snprintf(text, sizeof text, "%.*f", std::max(digits - exponent, 1), value);
    return text;
}

std::string number_of(const Json& value) {
    if (value.is_number_float()) return digits_of(value.get<double>());
    return value.is_number_unsigned() ? std::to_string(value.get<std::uint64_t>())
                                      : std::to_string(value.get<std::int64_t>());
}

}  // namespace

std::string shown(const Json& value) {
    constexpr std::size_t longest = 60;
    if (value.is_object()) return "an object";
    if (value.is_array()) return cat("a list of ", value.size());
    if (value.is_null()) return "null";
    if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
    const std::string text =
        value.is_string() ? repr(value.get_ref<const std::string&>()) : number_of(value);
    return text.size() <= longest ? text : text.substr(0, longest - 3) + "...";
}

void non_empty_string(const Json& value, const std::string& where) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty())
        depart(where, "a non-empty string", value);
}

void string(const Json& value, const std::string& where) {
    if (!value.is_string()) depart(where, "a string", value);
}

void boolean(const Json& value, const std::string& where) {
    if (!value.is_boolean()) depart(where, "true or false", value);
}

void anything(const Json&, const std::string&) {}

Check integer(int minimum) {
    return [=](const Json& value, const std::string& where) {
        if (!is_number_between(value, minimum, infinity) ||
            std::floor(value.get<double>()) != value.get<double>())
            depart(where, cat("a whole number of at least ", minimum), value);
    };
}

Check number() {
    return number_between(-infinity, infinity, "a number");
}

Check number(int minimum) {
    return number_between(minimum, infinity, cat("a number of at least ", minimum));
}

Check number(int minimum, int maximum) {
    return number_between(minimum, maximum, cat("a number from ", minimum, " to ", maximum));
}

Check one_of(std::vector<Named> allowed) {
    return [allowed = std::move(allowed)](const Json& value, const std::string& where) {
        std::string wanted;
        for (const Named& one : allowed) {
            const Json named = json_of(one);
            if (value == named) return;
            wanted += cat(wanted.empty() ? "" : " or ", shown(named));
        }
        depart(where, wanted, value);
    };
}

Check or_null(Check inner) {
    return [inner = std::move(inner)](const Json& value, const std::string& where) {
        if (!value.is_null()) inner(value, where);
    };
}

Check list_of(Check inner, std::size_t minimum) {
    return [inner = std::move(inner), minimum](const Json& value, const std::string& where) {
        if (!value.is_array() || value.size() < minimum)
            depart(where, cat("a list of at least ", minimum), value);
        for (std::size_t index = 0; index < value.size(); ++index)
            inner(value[index], cat(where, "[", index, "]"));
    };
}

Check tuple_of(std::vector<Check> inner) {
    return [inner = std::move(inner)](const Json& value, const std::string& where) {
        if (!value.is_array() || value.size() != inner.size())
            depart(where, cat("a list of ", inner.size()), value);
        for (std::size_t index = 0; index < inner.size(); ++index)
            inner[index](value[index], cat(where, "[", index, "]"));
    };
}

Check all_of(std::vector<Check> checks) {
    return [checks = std::move(checks)](const Json& value, const std::string& where) {
        for (const Check& check : checks) check(value, where);
    };
}

Check matching(bool (*fits)(const std::string&), std::string wanted) {
    return [fits, wanted = std::move(wanted)](const Json& value, const std::string& where) {
        if (!value.is_string() || !fits(value.get_ref<const std::string&>()))
            depart(where, wanted, value);
    };
}

Check mapping_of(Check inner, Check keys) {
    return [inner = std::move(inner), keys = std::move(keys)](const Json& value,
                                                              const std::string& where) {
        if (!value.is_object()) depart(where, "an object", value);
        for (auto item = value.begin(); item != value.end(); ++item) {
            keys(Json(item.key()), cat("a name in ", where));
            inner(item.value(), cat(where, "[", repr(item.key()), "]"));
        }
    };
}

Check object_with(std::vector<Field> fields) {
    return [fields = std::move(fields)](const Json& value, const std::string& where) {
        if (!value.is_object()) depart(where, "an object", value);
        for (const auto& [key, inner] : fields) {
            const std::string place = below(where, key);
            const auto found = value.find(key);
            if (found == value.end()) throw SchemaViolation{cat(place, " is missing")};
            inner(*found, place);
        }
    };
}

Check if_present(const char* key, Check inner) {
    return [key, inner = std::move(inner)](const Json& value, const std::string& where) {
        const auto found = value.is_object() ? value.find(key) : value.end();
        if (found != value.end()) inner(*found, below(where, key));
    };
}

Check when(const char* key, const char* expected, Check then) {
    return [key, expected, then = std::move(then)](const Json& value, const std::string& where) {
        const auto found = value.is_object() ? value.find(key) : value.end();
        if (found != value.end() && *found == expected) then(value, where);
    };
}

}  // namespace kexport::schema_checks
