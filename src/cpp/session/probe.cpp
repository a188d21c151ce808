#include "session/probe.hpp"

#include <memory>

#include "cuda/cuda.hpp"
#include "session/open_encoder.hpp"

namespace pdum::nvenc {

std::vector<GpuCapabilities> all_capabilities(int gpu, const std::optional<std::string>& forced_abi) {
    const std::shared_ptr<const Context> context = Context::primary(gpu);
    const Abi& abi = choose_abi(forced_abi);
    const ContextScope scope(*context);
    const std::unique_ptr<EncodeApi> api = open_encoder(abi, *context);
    std::vector<GpuCapabilities> all;
    for (const Codec codec : api->codecs()) {
        GpuCapabilities& one = all.emplace_back(GpuCapabilities{codec, {}});
        for (const CapabilityName& name : capability_names) {
            one.values.emplace_back(name.name, api->capability(codec, name.capability));
        }
    }
    api->destroy();
    return all;
}

Probe probe(int gpu, const std::optional<std::string>& forced_abi) {
    const std::shared_ptr<const Context> context = Context::primary(gpu);
    const Abi& abi = choose_abi(forced_abi);
    const ContextScope scope(*context);
    const std::unique_ptr<EncodeApi> api = open_encoder(abi, *context);
    Probe found{context->gpu_name(), abi.name, api->codecs()};
    api->destroy();
    return found;
}

}  // namespace pdum::nvenc
