// The one error that this module throws, and what the statuses of the driver mean.
#pragma once

#include <stdexcept>
#include <string>

namespace pdum::nvenc {

// What went wrong, in the terms of the caller. Each has its own Python class (pdum/nvenc/_errors.py).
enum class ErrorKind {
    driver_not_found,
    driver_too_old,
    no_encoder,
    out_of_sessions,
    unsupported_feature,
    invalid_config,
    invalid_frame,
    encoder_closed,
    device_lost,
    out_of_memory,
    cuda_failed,
    encoder_failed,
    decoder_closed,
    decoder_failed,
};

struct ErrorDetails {
    ErrorKind kind = ErrorKind::encoder_failed;
    std::string summary;      // one sentence: what was expected, what it got
    std::string advice;       // what the caller can do about it; may be empty
    std::string call;         // the driver's function that failed; empty if none was called
    int status = 0;           // what that function returned
    std::string status_name;  // "NV_ENC_ERR_OUT_OF_MEMORY", "CUDA_ERROR_INVALID_VALUE"
    std::string driver_text;  // the driver's own words, if it has any
};

class Error : public std::runtime_error {
   public:
    explicit Error(ErrorDetails details);
    const ErrorDetails& details() const noexcept { return details_; }

   private:
    ErrorDetails details_;
};

// For errors that come from no driver call.
[[noreturn]] void fail(ErrorKind kind, std::string summary, std::string advice = {});

// An NVENC status as an error. `doing` completes "could not …": "open an encode session on GPU 0".
Error encode_error(int status, const char* call, const std::string& doing, std::string driver_text);

}  // namespace pdum::nvenc
