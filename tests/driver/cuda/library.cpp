// libcuda as a library under control: its configuration, its report.
#include "common/control.hpp"
#include "common/instrument.hpp"
#include "cuda/context.hpp"
#include "cuda/entry.hpp"
#include "cuda/memory.hpp"
#include "cuda/module.hpp"
#include "cuda/stream.hpp"

namespace nvsim::cuda {
namespace {

int64_t created_contexts() {
    int64_t count = 0;
    contexts().each([&](const Context& context) { count += !context.primary; });
    return count;
}

LiveCounts live() {
    return {{"contexts", created_contexts()},
            {"primary_retains", primary_retains()},
            {"streams", live_streams()},
            {"events", events().live()},
            {"modules", modules().live()},
            {"device_allocations", live_device_allocations()},
            {"host_allocations", live_host_allocations()},
            {"host_registrations", live_registrations()}};
}

bool same_devices(const Config& a, const Config& b) {
    if (a.gpus.size() != b.gpus.size()) return false;
    for (size_t i = 0; i < a.gpus.size(); ++i)
        if (a.gpus[i].name != b.gpus[i].name || a.gpus[i].memory_bytes != b.gpus[i].memory_bytes) return false;
    return true;
}

// The objects of clients that would not fit the new machine. A primary context that has nothing in it fits any.
std::string obstacle(const Config& next) {
    const std::shared_ptr<const Config> now = settings();
    if (same_devices(*now, next) && now->async_streams == next.async_streams) return "";
    for (const auto& [kind, count] : live())
        if (count != 0 && kind != "primary_retains" && kind != "host_registrations")
            return "it would change the devices or the streams while there are living " + kind;
    for (size_t device = next.gpus.size(); device < now->gpus.size(); ++device) {
        unsigned flags = 0;
        if (primary_active(static_cast<int>(device), flags))
            return "it would take away a device whose context is in use";
    }
    return "";
}

void apply(const Config& config) {
    machine().devices = static_cast<int>(config.gpus.size());
    machine().cuda_version = config.cuda_version;
    machine().copy = config.copy;
    machine().async_streams = config.async_streams;
}

const Library library{"cuda", &obstacle, &apply, &live};

}  // namespace
}  // namespace nvsim::cuda

NVSIM_EXPORT const char* nvsim_control(const char* request) {
    return nvsim::answer_control(nvsim::cuda::library, request);
}
