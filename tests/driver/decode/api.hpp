// The interface of libnvcuvid, with the statuses of CUDA's that it answers.
#pragma once

#include "abi/nvcuvid_13_0.hpp"

namespace nvsim::decode {

using namespace nvsim::abi_nvcuvid;

enum class Status : int {
    success = 0,
    invalid_value = 1,
    out_of_memory = 2,
    no_device = 100,
    invalid_context = 201,
    map_failed = 205,
    invalid_handle = 400,
    not_ready = 600,
    not_supported = 801,
    unknown = 999,
};

}  // namespace nvsim::decode
