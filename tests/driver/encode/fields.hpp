// Writes the fields of a client's struct as JSON, for the trace; what the generated describe_*.hpp call.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "encode/coder.hpp"
#include "encode/hints.hpp"

namespace nvsim {

// Builds one JSON object; a field that is zero leaves no mark, nor does a nested object without fields.
class Fields {
   public:
    // keep_zeros: for an object whose every field matters.
    explicit Fields(bool keep_zeros = false) : keep_zeros_(keep_zeros), text_("{") {}

    template <typename T>
    void number(const char* name, T value) {
        static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
        if (value == T{} && name != nullptr && !keep_zeros_) return;
        key(name);
        text_ += std::to_string(value);
    }
    void raw(const char* name, const std::string& json) {
        key(name);
        text_ += json;
    }
    void text(const char* name, const std::string& value);
    void symbol(const char* name, const char* symbol, uint32_t value);
    void guid(const char* name, const char* symbol, const void* guid);
    void address(const char* name, const void* value);
    void bytes(const char* name, const uint8_t* data, uint32_t size);

    // Between open and close lie the fields of a nested object or the elements of an array, which have no name.
    void open(const char* name, char bracket = '{');
    void close(char bracket = '}');

    std::string finish() { return text_ + "}"; }

   private:
    void key(const char* name);

    const bool keep_zeros_;
    std::string text_;
    std::vector<size_t> rollback_;  // where each open object begins, for taking an empty one back
};

// True if an array holds anything but zeros. Clients send kilobytes of reserved zeros on every call, so this is hot:
// each byte is compared with its neighbour, by the fastest loop that libc has.
template <typename T, size_t N>
bool any_set(const T (&array)[N]) {
    const char* bytes = reinterpret_cast<const char*>(array);
    return bytes[0] != 0 || std::memcmp(bytes, bytes + 1, sizeof array - 1) != 0;
}

template <typename T>
void describe_struct(Fields& out, const char* name, const T& value, Codec codec) {
    out.open(name);
    describe(out, value, codec);
    out.close();
}

template <typename T>
void describe_array(Fields& out, const char* name, const T* array, uint32_t count, Codec codec) {
    bool all_zero = true;
    if (array != nullptr)
        for (uint32_t i = 0; i < count * sizeof(T); ++i) all_zero &= reinterpret_cast<const char*>(array)[i] == 0;
    if (all_zero) return;
    out.open(name, '[');
    for (uint32_t i = 0; i < count; ++i) {
        if constexpr (std::is_class_v<T>)
            describe_struct(out, nullptr, array[i], codec);
        else if constexpr (std::is_pointer_v<T>)
            out.address(nullptr, array[i]);
        else
            out.number(nullptr, array[i]);
    }
    out.close(']');
}

// Of one picture's meExternalHints, from the counts for each of its blocks.
template <typename Picture>
uint32_t hint_count(const Picture& picture, Codec codec) {
    uint32_t per_block = 0;
    for (const auto& counts : picture.meHintCountsPerBlock)
        per_block += counts.numCandsPerBlk16x16 + 2 * counts.numCandsPerBlk16x8 + 2 * counts.numCandsPerBlk8x16 +
                     4 * counts.numCandsPerBlk8x8;
    return per_block * hint_blocks(codec, picture.inputWidth, picture.inputHeight);
}

}  // namespace nvsim
