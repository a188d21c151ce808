#include "colour/packed_text.hpp"

namespace pdum::nvenc {
namespace {

constexpr size_t shortest_copy = 12;  // src/cuda/embed.py has the same number

// Seven bits a byte, the lowest first; the top bit says that more follow.
size_t number(const unsigned char*& at) {
    size_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        const size_t byte = *at++;
        value |= (byte & 127) << shift;
        if (byte < 128) return value;
    }
}

}  // namespace

std::string unpack(const unsigned char* packed, size_t size) {
    std::string text;
    text.reserve(size);
    while (true) {
        const size_t new_bytes = number(packed);
        text.append(reinterpret_cast<const char*>(packed), new_bytes);
        if (text.size() >= size) break;
        packed += new_bytes;
        const size_t length = number(packed) + shortest_copy;
        const size_t distance = number(packed);
        // A copy may reach into itself.
        for (size_t i = 0; i < length; ++i) text.push_back(text[text.size() - distance]);
        if (text.size() >= size) break;
    }
    text.resize(size);
    return text;
}

}  // namespace pdum::nvenc
