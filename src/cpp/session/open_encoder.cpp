#include "session/open_encoder.hpp"

#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

constexpr int status_out_of_memory = 10;
constexpr int status_incompatible_client_key = 21;

// When sessions run out, some drivers answer this call with "out of memory".
ErrorDetails explain_refusal(ErrorDetails details, const Context& context) {
    details.summary = "Could not open an encode session on " + gpu_text(context);
    if (details.status != status_out_of_memory && details.status != status_incompatible_client_key) return details;
    details.kind = ErrorKind::out_of_sessions;
    details.advice =
        "All encode sessions are taken, or the GPU is out of memory. Close encoders that are done (close() or `with`); "
        "`nvidia-smi` shows what other programs hold. GeForce cards share one limit over the whole system.";
    return details;
}

}  // namespace

std::string gpu_text(const Context& context) {
    return "GPU " + std::to_string(context.gpu()) + " (" + context.gpu_name() + ")";
}

std::unique_ptr<EncodeApi> open_encoder(const Abi& abi, const Context& context) {
    try {
        return abi.open(context.handle());
    } catch (const Error& error) {
        if (error.details().call != "nvEncOpenEncodeSessionEx") throw;
        throw Error(explain_refusal(error.details(), context));
    }
}

}  // namespace pdum::nvenc
