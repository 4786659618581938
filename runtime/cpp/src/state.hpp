/// What a Model holds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "call.hpp"
#include "engine.hpp"
#include "manifest.hpp"
#include "pool.hpp"

namespace kexport {

struct ModelState {
    Manifest manifest;
    std::vector<std::string> labels;
    std::unique_ptr<Engine> engine;
    mutable Pool<Call> calls;
};

/// What Model::open does. Throws a Refusal.
std::unique_ptr<ModelState> open_state(const std::filesystem::path& bundle, const Options& options);

}  // namespace kexport
