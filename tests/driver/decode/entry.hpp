// How an exported function of libnvcuvid is written:
//
//     NVSIM_CUVID(cuvidDestroyDecoder, (CUvideodecoder decoder), (decoder)) {
//         ...
//         return Status::success;
//     }
//
// The macro adds what all have in common: the call site and no exception that leaves the library.
#pragma once

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/arguments.hpp"
#include "common/instrument.hpp"
#include "decode/api.hpp"

namespace nvsim::decode {

// A use that cannot be served; the answer of the call.
struct Refusal {
    Status status;
};

// A rule broken by the client: recorded and refused.
[[noreturn]] inline void violate(Status status, const std::string& object, const std::string& message) {
    instrument::violation(object, message);
    throw Refusal{status};
}

// A rule whose breach real drivers let pass, as far as is known: recorded, and the call goes on.
inline void disapprove(const std::string& object, const std::string& message) {
    instrument::violation(object, message);
}

template <typename Body>
Status guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const Refusal& refusal) {
        return refusal.status;
    } catch (const std::bad_alloc&) {
        return Status::out_of_memory;
    } catch (...) {
        return Status::unknown;
    }
}

}  // namespace nvsim::decode

#define NVSIM_EXPORT extern "C" __attribute__((visibility("default")))

#define NVSIM_CUVID(name, parameters, arguments)                                                 \
    NVSIM_EXPORT int name parameters;                                                            \
    static nvsim::decode::Status name##_body parameters;                                         \
    NVSIM_EXPORT int name parameters {                                                           \
        static nvsim::CallSite site(#name);                                                      \
        return static_cast<int>(nvsim::observed(                                                 \
            site, [&] { return nvsim::decode::guarded([&] { return name##_body arguments; }); }, \
            [&] { return nvsim::named_arguments(#arguments, std::make_tuple arguments); }));     \
    }                                                                                            \
    static nvsim::decode::Status name##_body parameters
