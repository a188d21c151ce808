#include "common/bits.hpp"

namespace nvsim {

void append_nal(Bytes& out, const Bytes& header, const Bytes& payload) {
    out.insert(out.end(), {0, 0, 0, 1});
    out.insert(out.end(), header.begin(), header.end());
    int zeros = 0;
    for (uint8_t byte : payload) {
        if (zeros >= 2 && byte <= 3) {
            out.push_back(3);
            zeros = 0;
        }
        out.push_back(byte);
        zeros = byte == 0 ? zeros + 1 : 0;
    }
}

void append_obu(Bytes& out, int type, const Bytes& payload) {
    out.push_back(static_cast<uint8_t>(type << 3 | 2));
    uint64_t size = payload.size();
    do {
        out.push_back(static_cast<uint8_t>((size & 0x7f) | (size > 0x7f ? 0x80 : 0)));
        size >>= 7;
    } while (size > 0);
    out.insert(out.end(), payload.begin(), payload.end());
}

}  // namespace nvsim
