/// Errors inside the runtime: thrown as a Refusal, which the public functions turn into a Result;
/// as runtime/errors.py.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "../kexport.hpp"

namespace kexport {

struct Refusal {
    Fault fault;
};

[[noreturn]] inline void refuse(Status status, std::string message, std::string hint = {}) {
    throw Refusal{{status, std::move(message), std::move(hint)}};
}

[[noreturn]] inline void refuse_bundle(std::string message, std::string hint = {}) {
    refuse(Status::bundle_refused, std::move(message), std::move(hint));
}

[[noreturn]] inline void refuse_input(std::string message, std::string hint = {}) {
    refuse(Status::bad_input, std::move(message), std::move(hint));
}

/// The hint for a bundle that differs from what kexport wrote.
inline constexpr char export_again[] = "export the model again, or copy the bundle again whole";

/// Run an action that may throw, and return its value or the fault.
template <class Value, class Action>
Result<Value> guarded(const Action& action) noexcept {
    try {
        return action();
    } catch (Refusal& refusal) {
        return std::move(refusal.fault);
    } catch (const std::bad_alloc&) {
        return Fault{Status::failed, "out of memory", {}};
    } catch (const std::exception& error) {
        return Fault{Status::failed, error.what(), {}};
    }
}

}  // namespace kexport
