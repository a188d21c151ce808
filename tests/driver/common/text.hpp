// Messages put together from parts.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

namespace nvsim {

template <typename... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

inline std::string hex(const void* handle) {
    std::ostringstream out;
    out << "0x" << std::hex << reinterpret_cast<uintptr_t>(handle);
    return out.str();
}

}  // namespace nvsim
