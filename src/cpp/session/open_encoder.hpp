// Opening a session on a GPU, with an error that says which GPU it was and what to do.
#pragma once

#include <memory>
#include <string>

#include "abi/encode_api.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The context has to be current.
std::unique_ptr<EncodeApi> open_encoder(const Abi& abi, const Context& context);

// "GPU 0 (NVIDIA L4)", for messages.
std::string gpu_text(const Context& context);

}  // namespace pdum::nvenc
