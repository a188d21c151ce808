// The driver refuses structs whose reserved bytes are not zero.
#pragma once

#include <cstring>
#include <type_traits>

namespace pdum::nvenc {

// All bytes are zero. `T{}` leaves those of a union that its first member does not cover as they are, with some
// compilers.
template <typename T>
T zeroed() {
    static_assert(std::is_trivially_copyable_v<T>);
    T all;
    std::memset(&all, 0, sizeof all);
    return all;
}

}  // namespace pdum::nvenc
