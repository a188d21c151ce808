// Compares the settings with the GPU's capabilities, before the driver refuses them without a reason.
#pragma once

#include "abi/encode_api.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// Throws unsupported_feature or invalid_config, with the GPU's own limits, if it does not support the settings.
void require_within_limits(EncodeApi& api, const Context& context, const Settings& settings);

// How a running encoder takes a change of its settings.
enum class ChangeKind {
    live,
    reopening,  // it takes a new session of the driver's, since the GPU cannot change the rate control in a running one
};

// The same for a change of a running encoder.
ChangeKind require_change(EncodeApi& api, const Context& context, const Settings& from, const Settings& to);

// Of a session that finds motion and encodes nothing.
void require_motion_limits(EncodeApi& api, const Context& context, const Settings& settings);

}  // namespace pdum::nvenc
