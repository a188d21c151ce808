#include "abi/message.hpp"

namespace pdum::nvenc {
namespace {

void append(std::vector<uint8_t>& out, uint32_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void append(std::vector<uint8_t>& out, ChromaPoint point) {
    append(out, point.x, 2);
    append(out, point.y, 2);
}

// The SEI message has the primaries in the order green, blue, red.
Message mastering_display_message(Codec codec, const MasteringDisplay& display) {
    constexpr uint32_t sei = 137, obu = 2;
    Message message{codec == Codec::av1 ? obu : sei, {}};
    if (codec == Codec::av1) append(message.payload, display.red);
    append(message.payload, display.green);
    append(message.payload, display.blue);
    if (codec != Codec::av1) append(message.payload, display.red);
    append(message.payload, display.white);
    append(message.payload, display.max_luminance, 4);
    append(message.payload, display.min_luminance, 4);
    return message;
}

Message content_light_message(Codec codec, const ContentLight& light) {
    constexpr uint32_t sei = 144, obu = 1;
    Message message{codec == Codec::av1 ? obu : sei, {}};
    append(message.payload, light.max_cll, 2);
    append(message.payload, light.max_fall, 2);
    return message;
}

}  // namespace

std::vector<Message> hdr_messages(const Settings& settings) {
    std::vector<Message> messages;
    if (settings.mastering_display) {
        messages.push_back(mastering_display_message(settings.codec, *settings.mastering_display));
    }
    if (settings.content_light) messages.push_back(content_light_message(settings.codec, *settings.content_light));
    return messages;
}

}  // namespace pdum::nvenc
