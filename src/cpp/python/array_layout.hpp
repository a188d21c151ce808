// An array as any of the protocols describes it, not checked yet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace pdum::nvenc {

// A shape or strides. No memory is allocated for them.
struct Extents {
    static constexpr size_t most = 8;
    std::array<int64_t, most> values{};
    size_t count = 0;

    int64_t operator[](size_t i) const { return values[i]; }
};

struct ArrayLayout {
    Extents shape;
    Extents strides;   // bytes; none: packed rows
    std::string type;  // NumPy's typestr, such as "|u1"
    const void* data = nullptr;
};

inline std::string tuple_text(const Extents& extents) {
    std::string text = "(";
    for (size_t i = 0; i < extents.count; ++i) text += (i > 0 ? ", " : "") + std::to_string(extents[i]);
    return text + (extents.count == 1 ? ",)" : ")");
}

}  // namespace pdum::nvenc
