#include "decode/format_parts.hpp"

#include <numeric>

namespace nvsim::decode {

CUVIDEOFORMAT_frame_rate rate_of(uint64_t numerator, uint64_t denominator) {
    const uint64_t divisor = std::gcd(numerator, denominator);
    if (numerator == 0 || denominator == 0) return {0, 1};
    return {static_cast<unsigned>(numerator / divisor), static_cast<unsigned>(denominator / divisor)};
}

CUVIDEOFORMAT_display_aspect_ratio aspect_of(const CUVIDEOFORMAT_display_area& area, int sar_width, int sar_height) {
    if (sar_width <= 0 || sar_height <= 0) sar_width = sar_height = 1;
    const int64_t x = int64_t{area.right - area.left} * sar_width, y = int64_t{area.bottom - area.top} * sar_height;
    const int64_t divisor = std::gcd(x, y);
    if (divisor == 0) return {1, 1};
    return {static_cast<int>(x / divisor), static_cast<int>(y / divisor)};
}

CUVIDEOFORMAT_video_signal_description signal_of(int format, int full_range, int primaries, int transfer, int matrix) {
    CUVIDEOFORMAT_video_signal_description signal{};
    signal.video_format = static_cast<unsigned char>(format & 7);
    signal.video_full_range_flag = static_cast<unsigned char>(full_range & 1);
    signal.color_primaries = static_cast<unsigned char>(primaries);
    signal.transfer_characteristics = static_cast<unsigned char>(transfer);
    signal.matrix_coefficients = static_cast<unsigned char>(matrix);
    return signal;
}

void read_messages(const Bytes& payload, size_t skip, std::vector<Message>& messages) {
    size_t at = skip;
    const auto number = [&] {
        unsigned value = 0;
        while (at < payload.size() && payload[at] == 255) value += payload[at++];
        return at < payload.size() ? value + payload[at++] : value;
    };
    while (at + 2 < payload.size()) {
        const unsigned type = number(), size = number();
        if (at + size > payload.size()) return;
        const auto begin = payload.begin() + static_cast<ptrdiff_t>(at);
        if (type < 256) messages.push_back({static_cast<unsigned char>(type), Bytes(begin, begin + size)});
        at += size;
    }
}

}  // namespace nvsim::decode
