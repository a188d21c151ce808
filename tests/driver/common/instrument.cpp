#include "common/instrument.hpp"

#include <map>
#include <mutex>
#include <vector>

#include "common/config.hpp"
#include "common/immortal.hpp"
#include "common/json.hpp"

namespace nvsim {

// Every call site that was used while calls were watched, in a list that only grows.
struct CallSites {
    static inline std::atomic<CallSite*> first{nullptr};

    static uint64_t count(CallSite& site) {
        if (!site.listed_.exchange(true)) {
            site.next_ = first.load();
            while (!first.compare_exchange_weak(site.next_, &site)) {
            }
        }
        return site.uses_.fetch_add(1) + 1;
    }

    static void clear() {
        for (CallSite* site = first.load(); site != nullptr; site = site->next_) site->uses_ = 0;
    }

    static std::map<std::string, uint64_t> counts() {
        std::map<std::string, uint64_t> counts;  // two sites may share a name: a call offered by several API versions
        for (CallSite* site = first.load(); site != nullptr; site = site->next_)
            if (site->uses_ != 0) counts[site->name()] += site->uses_;
        return counts;
    }
};

namespace instrument {
namespace {

constexpr size_t kMostViolations = 1000;

struct Violation {
    std::string call, object, message;
};

struct State {
    std::mutex mutex;
    std::vector<Fault> faults;
    std::map<std::string, uint64_t> uses;  // of the calls that faults name, whatever their site
    std::vector<Violation> violations;
};

State& state() { return immortal<State>(); }

}  // namespace

void configure(const Config& config, const char* library) {
    trace::open(config.trace, config.report, library);
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().faults = config.faults;
    state().uses.clear();
    for (const Fault& fault : config.faults) state().uses[fault.call] = 0;
    strict_flag = config.strict;
    tracing_flag = !config.trace.empty();
    watching_flag = config.count || !config.faults.empty() || !config.trace.empty();
}

void reset() {
    CallSites::clear();
    const std::lock_guard<std::mutex> lock(state().mutex);
    for (auto& [call, uses] : state().uses) uses = 0;
    state().violations.clear();
}

std::optional<int> enter(CallSite& site) {
    CallSites::count(site);
    const std::lock_guard<std::mutex> lock(state().mutex);
    const auto uses = state().uses.find(site.name());
    if (uses == state().uses.end()) return std::nullopt;
    ++uses->second;
    for (const Fault& fault : state().faults)
        if (fault.call == site.name() && (fault.nth == 0 || fault.nth == uses->second)) return fault.status;
    return std::nullopt;
}

void violation(const std::string& object, const std::string& message) {
    if (!strict()) return;
    const char* call = current_call != nullptr ? current_call->name() : "";
    trace::violation(call, object, message);
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (state().violations.size() < kMostViolations) state().violations.push_back({call, object, message});
}

Json calls_report() {
    Json::Object calls;
    for (const auto& [name, uses] : CallSites::counts()) calls.emplace_back(name, Json(uses));
    return Json(std::move(calls));
}

Json violations_report() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    Json::Array list;
    for (const Violation& violation : state().violations)
        list.push_back(
            Json(Json::Object{{"call", violation.call}, {"object", violation.object}, {"message", violation.message}}));
    return Json(std::move(list));
}

}  // namespace instrument
}  // namespace nvsim
