#include "open_encoder.hpp"

#include <algorithm>
#include <limits>

#include "error.hpp"

namespace pdum::nvenc {
namespace {

constexpr int status_out_of_memory = 10;
constexpr int status_incompatible_client_key = 21;

std::string gpu_text(const Context& context) {
    return "GPU " + std::to_string(context.gpu()) + " (" + context.gpu_name() + ")";
}

std::string size_text(int64_t width, int64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

std::string list_of(const std::vector<Codec>& codecs) {
    std::string text;
    for (const Codec codec : codecs) text += (text.empty() ? "" : ", ") + std::string(name_of(codec));
    return text.empty() ? "nothing" : text;
}

// At this call the driver says "out of memory" when it means sessions, and drivers differ in which of the two they say.
ErrorDetails explain_refusal(ErrorDetails details, const Context& context) {
    details.summary = "Could not open an encode session on " + gpu_text(context);
    if (details.status != status_out_of_memory && details.status != status_incompatible_client_key) return details;
    details.kind = ErrorKind::out_of_sessions;
    details.advice =
        "All encode sessions are taken, or the GPU is out of memory. Close encoders that are done (close() or `with`); "
        "`nvidia-smi` shows what other programs hold. GeForce cards share one limit over the whole system.";
    return details;
}

void require_codec(EncodeApi& api, const Context& context, Codec codec) {
    const std::vector<Codec> codecs = api.codecs();
    if (std::find(codecs.begin(), codecs.end(), codec) != codecs.end()) return;
    fail(ErrorKind::unsupported_feature,
         gpu_text(context) + " cannot encode " + name_of(codec) + "; it encodes " + list_of(codecs) + ".",
         "Choose one of those codecs, or another GPU with gpu_id.");
}

void require_size(EncodeApi& api, const Context& context, const Settings& settings) {
    const auto limit = [&](Capability capability) { return api.capability(settings.codec, capability); };
    const int min_width = limit(Capability::width_min), max_width = limit(Capability::width_max);
    const int min_height = limit(Capability::height_min), max_height = limit(Capability::height_max);
    // What is beyond an int is beyond any limit, too.
    constexpr uint32_t largest = std::numeric_limits<int>::max();
    const int width = static_cast<int>(std::min(settings.width, largest));
    const int height = static_cast<int>(std::min(settings.height, largest));
    if (width < min_width || width > max_width || height < min_height || height > max_height) {
        fail(ErrorKind::invalid_config,
             "A picture of " + size_text(settings.width, settings.height) + " was asked for; " + gpu_text(context) +
                 " encodes " + name_of(settings.codec) + " from " + size_text(min_width, min_height) + " to " +
                 size_text(max_width, max_height) + ".",
             "Scale or pad the picture into that range.");
    }
    const int macroblocks = (width + 15) / 16 * ((height + 15) / 16);
    const int max_macroblocks = limit(Capability::macroblocks_max);
    if (max_macroblocks > 0 && macroblocks > max_macroblocks) {
        fail(ErrorKind::invalid_config,
             "A picture of " + size_text(width, height) + " has " + std::to_string(macroblocks) + " blocks of 16x16; " +
                 gpu_text(context) + " takes " + std::to_string(max_macroblocks) + " in " + name_of(settings.codec) +
                 ".",
             "Scale the picture down.");
    }
}

void require_prediction(EncodeApi& api, const Context& context, const Settings& settings) {
    const int max_b_frames = api.capability(settings.codec, Capability::b_frames_max);
    if (static_cast<int>(settings.b_frames) > max_b_frames) {
        fail(ErrorKind::unsupported_feature,
             "bframes=" + std::to_string(settings.b_frames) + ", but " + gpu_text(context) + " does at most " +
                 std::to_string(max_b_frames) + " in " + name_of(settings.codec) + " (capability NUM_MAX_BFRAMES).",
             "Lower bframes.");
    }
    if (settings.lookahead > 0 && api.capability(settings.codec, Capability::lookahead) == 0) {
        fail(ErrorKind::unsupported_feature,
             "lookahead=" + std::to_string(settings.lookahead) + ", but " + gpu_text(context) + " has none in " +
                 name_of(settings.codec) + " (capability SUPPORT_LOOKAHEAD).",
             "Set lookahead to 0.");
    }
}

}  // namespace

std::unique_ptr<EncodeApi> open_encoder(const Abi& abi, const Context& context) {
    try {
        return abi.open(context.handle());
    } catch (const Error& error) {
        if (error.details().call != "nvEncOpenEncodeSessionEx") throw;
        throw Error(explain_refusal(error.details(), context));
    }
}

void require_within_limits(EncodeApi& api, const Context& context, const Settings& settings) {
    require_codec(api, context, settings.codec);
    require_size(api, context, settings);
    require_prediction(api, context, settings);
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
