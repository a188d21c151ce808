#include "core/error.hpp"

#include <array>
#include <utility>

namespace pdum::nvenc {
namespace {

struct StatusMeaning {
    const char* name;
    ErrorKind kind;
    const char* advice;
};

constexpr const char* report_it = "Please report it with this message: no correct use of the encoder leads here.";

// Indexed by status. The advice is for the general case; calls that know more give their own.
constexpr std::array<StatusMeaning, 27> meanings{{
    {"NV_ENC_SUCCESS", ErrorKind::encoder_failed, ""},
    {"NV_ENC_ERR_NO_ENCODE_DEVICE", ErrorKind::no_encoder,
     "This GPU has no hardware encoder. Choose another one with gpu_id."},
    {"NV_ENC_ERR_UNSUPPORTED_DEVICE", ErrorKind::no_encoder,
     "This GPU has no hardware encoder (A100, H100 and H200 have none), or the driver does not let this "
     "machine use it. Choose another one with gpu_id."},
    {"NV_ENC_ERR_INVALID_ENCODERDEVICE", ErrorKind::encoder_failed,
     "The CUDA context was refused: pass a live context of this process, or leave cuda_context at 0."},
    {"NV_ENC_ERR_INVALID_DEVICE", ErrorKind::encoder_failed,
     "The CUDA context was refused: pass a live context of this process, or leave cuda_context at 0."},
    {"NV_ENC_ERR_DEVICE_NOT_EXIST", ErrorKind::device_lost,
     "The GPU is gone or was reset. Close this encoder and make a new one; if that fails too, see the kernel log for "
     "the driver's Xid message."},
    {"NV_ENC_ERR_INVALID_PTR", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_INVALID_EVENT", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_INVALID_PARAM", ErrorKind::encoder_failed,
     "The driver refused a value: compare the settings with what capabilities() says of this GPU."},
    {"NV_ENC_ERR_INVALID_CALL", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_OUT_OF_MEMORY", ErrorKind::out_of_memory,
     "Free GPU memory, encode a smaller picture, or keep fewer frames in flight (extra_output_delay, lookahead)."},
    {"NV_ENC_ERR_ENCODER_NOT_INITIALIZED", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_UNSUPPORTED_PARAM", ErrorKind::unsupported_feature,
     "This GPU or its driver does not do what was asked: compare the settings with what capabilities() says of it."},
    {"NV_ENC_ERR_LOCK_BUSY", ErrorKind::encoder_failed,
     "The encoder stayed busy. The access unit is not lost: call flush() or submit the next frame."},
    {"NV_ENC_ERR_NOT_ENOUGH_BUFFER", ErrorKind::encoder_failed,
     "An access unit did not fit its buffer: lower the bitrate or raise the QP."},
    {"NV_ENC_ERR_INVALID_VERSION", ErrorKind::driver_too_old,
     "The driver does not take this version of its interface: update the NVIDIA driver, or unset PDUM_NVENC_ABI."},
    {"NV_ENC_ERR_MAP_FAILED", ErrorKind::encoder_failed,
     "The driver could not take the frame's memory: it has to be plain device memory of the encoder's own GPU."},
    {"NV_ENC_ERR_NEED_MORE_INPUT", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_ENCODER_BUSY", ErrorKind::encoder_failed, "The encoder stayed busy: submit the frame again later."},
    {"NV_ENC_ERR_EVENT_NOT_REGISTERD", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_GENERIC", ErrorKind::encoder_failed,
     "The driver gives no reason. Out of GPU memory, a driver update under a running program and a GPU reset all look "
     "like this: close the encoder and make a new one."},
    {"NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY", ErrorKind::out_of_sessions,
     "Too many encode sessions: close encoders that are done (close() or `with`), and see `nvidia-smi` for other "
     "programs "
     "that encode. GeForce cards have one limit for the whole system."},
    {"NV_ENC_ERR_UNIMPLEMENTED", ErrorKind::unsupported_feature,
     "This driver does not have the function: update the NVIDIA driver."},
    {"NV_ENC_ERR_RESOURCE_REGISTER_FAILED", ErrorKind::encoder_failed,
     "The driver could not take the frame's memory: it has to be plain device memory of the encoder's own GPU."},
    {"NV_ENC_ERR_RESOURCE_NOT_REGISTERED", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_RESOURCE_NOT_MAPPED", ErrorKind::encoder_failed, report_it},
    {"NV_ENC_ERR_NEED_MORE_OUTPUT", ErrorKind::encoder_failed, report_it},
}};

constexpr StatusMeaning unknown_status{"an unknown status", ErrorKind::encoder_failed,
                                       "The driver is newer than this package knows: update pdum-nvenc."};

const StatusMeaning& meaning_of(int status) noexcept {
    const auto index = static_cast<size_t>(status);
    return status > 0 && index < meanings.size() ? meanings[index] : unknown_status;
}

std::string message(const ErrorDetails& details) {
    std::string text = details.summary;
    if (!details.call.empty()) {
        text += ": " + details.call + " answered " + details.status_name + " (" + std::to_string(details.status) + ")";
        if (!details.driver_text.empty()) text += ", \"" + details.driver_text + "\"";
        text += '.';
    }
    if (!details.advice.empty()) text += " " + details.advice;
    return text;
}

}  // namespace

Error::Error(ErrorDetails details) : std::runtime_error(message(details)), details_(std::move(details)) {}

void fail(ErrorKind kind, std::string summary, std::string advice) {
    ErrorDetails details;
    details.kind = kind;
    details.summary = std::move(summary);
    details.advice = std::move(advice);
    throw Error(std::move(details));
}

Error encode_error(int status, const char* call, const std::string& doing, std::string driver_text) {
    const StatusMeaning& meaning = meaning_of(status);
    ErrorDetails details;
    details.kind = meaning.kind;
    details.summary = "Could not " + doing;
    details.advice = meaning.advice;
    details.call = call;
    details.status = status;
    details.status_name = meaning.name;
    details.driver_text = std::move(driver_text);
    return Error(std::move(details));
}

}  // namespace pdum::nvenc
