/// Inference sessions: the state of a Model; as runtime/session.py.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "binding_cache.hpp"
#include "manifest.hpp"
#include "pool.hpp"
#include "select_engine.hpp"

namespace kexport {

struct Session {
    Manifest manifest;
    std::vector<std::string> labels;
    std::unique_ptr<Engine> engine;
    mutable Pool<BindingCache> bindings;
};

/// Load the bundle in a folder, for Model::open. Throws a Refusal.
std::unique_ptr<Session> open_session(const std::filesystem::path& bundle, const Options& options);

}  // namespace kexport
