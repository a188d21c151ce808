// The values of NVENCSTATUS, the same in every API version, and a thrown form of them for the neutral core.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace nvsim {

enum class Status : uint32_t {
    success = 0,
    no_encode_device = 1,
    unsupported_device = 2,
    invalid_encoder_device = 3,
    invalid_device = 4,
    device_not_exist = 5,
    invalid_ptr = 6,
    invalid_event = 7,
    invalid_param = 8,
    invalid_call = 9,
    out_of_memory = 10,
    encoder_not_initialized = 11,
    unsupported_param = 12,
    lock_busy = 13,
    not_enough_buffer = 14,
    invalid_version = 15,
    map_failed = 16,
    need_more_input = 17,
    encoder_busy = 18,
    generic = 20,
    incompatible_client_key = 21,
    unimplemented = 22,
    resource_register_failed = 23,
    resource_not_registered = 24,
    resource_not_mapped = 25,
};

// A refusal. A violation is a use that a validation layer reports, even where the real driver would let it pass.
struct Refusal {
    Status status;
    std::string message;
    bool violation = false;
};

[[noreturn]] inline void refuse(Status status, std::string message) {
    throw Refusal{status, std::move(message), false};
}
[[noreturn]] inline void violate(Status status, std::string message) {
    throw Refusal{status, std::move(message), true};
}

}  // namespace nvsim
