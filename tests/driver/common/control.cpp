#include "common/control.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>

#include "common/catalogue.hpp"
#include "common/immortal.hpp"
#include "common/instrument.hpp"
#include "common/json.hpp"
#include "common/trace.hpp"

namespace nvsim {
namespace {

struct Settings {
    std::mutex mutex;
    std::shared_ptr<const Config> current = std::make_shared<Config>();
};

Settings& store() { return immortal<Settings>(); }

void put_in_force(const Library& library, Config config) {
    auto next = std::make_shared<const Config>(std::move(config));
    instrument::configure(*next, library.name);
    {
        const std::lock_guard<std::mutex> lock(store().mutex);
        store().current = next;
    }
    library.apply(*next);
}

Json configure(const Library& library, const Json& wanted) {
    Config config = parse_config(wanted);
    const std::string obstacle = library.obstacle(config);
    if (!obstacle.empty()) throw std::runtime_error("cannot be configured now: " + obstacle);
    const std::shared_ptr<const Config> before = settings();
    try {
        put_in_force(library, std::move(config));
    } catch (...) {
        put_in_force(library, *before);
        throw;
    }
    return Json(Json::Object{{"ok", true}});
}

Json report(const Library& library) {
    Json::Object live;
    for (const auto& [kind, count] : library.live()) live.emplace_back(kind, Json(count));
    return Json(Json::Object{{"live", Json(std::move(live))},
                             {"violations", instrument::violations_report()},
                             {"calls", instrument::calls_report()}});
}

Json catalogue() {
    Json::Object gpus;
    for (const std::string& name : catalogue_names()) {
        const Gpu gpu = catalogue_gpu(name);
        Json::Array codecs;
        for (const auto& [codec, offered] : gpu.codecs)
            if (offered) codecs.emplace_back(codec);
        gpus.emplace_back(name, Json(Json::Object{{"engines", gpu.engines},
                                                  {"fps_1080p", gpu.fps_1080p},
                                                  {"session_limit", gpu.session_limit},
                                                  {"codecs", Json(std::move(codecs))}}));
    }
    return Json(std::move(gpus));
}

struct {
    const Library* library = nullptr;
    pid_t process = 0;
} at_exit;

// Tells the report what is alive at the end of the process. A forked child does not: another thread of its parent may
// have held any lock.
void report_the_end() {
    if (at_exit.process == getpid() && trace::reporting()) trace::ended(report(*at_exit.library).dump());
}

Json answer(const Library& library, const char* request) {
    if (request == nullptr) throw std::runtime_error("no request");
    const Json document = Json::parse(request);
    const Json::Object& members = document.as_object("request");
    if (members.size() != 1) throw std::runtime_error("a request is an object with one key");
    const auto& [kind, value] = members.front();
    if (kind == "configure") return configure(library, value);
    if (kind == "report") return report(library);
    if (kind == "quiet") {
        instrument::quiet = value.as_bool(kind);
        return Json(Json::Object{{"ok", true}});
    }
    if (kind == "catalogue") return catalogue();
    if (kind == "reset") {
        instrument::reset();
        return Json(Json::Object{{"ok", true}});
    }
    if (library.own != nullptr)
        if (std::optional<Json> own = library.own(kind, value)) return *std::move(own);
    throw std::runtime_error("unknown request \"" + kind + "\"");
}

}  // namespace

Library::Library(const char* library_name, std::string (*its_obstacle)(const Config&), void (*its_apply)(const Config&),
                 LiveCounts (*its_live)(), std::optional<Json> (*its_own)(const std::string&, const Json&))
    : name(library_name), obstacle(its_obstacle), apply(its_apply), live(its_live), own(its_own) {
    try {
        put_in_force(*this, config_from_environment());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "simulated NVIDIA driver (%s): NVSIM_CONFIG: %s\n", name, error.what());
        std::_Exit(78);
    }
    trace::loaded();
    at_exit = {this, getpid()};
    std::atexit(report_the_end);
}

std::shared_ptr<const Config> settings() {
    const std::lock_guard<std::mutex> lock(store().mutex);
    return store().current;
}

const char* answer_control(const Library& library, const char* request) noexcept {
    static thread_local std::string text;
    try {
        text = answer(library, request).dump();
    } catch (const std::exception& error) {
        text = Json(Json::Object{{"error", error.what()}}).dump();
    }
    return text.c_str();
}

}  // namespace nvsim
