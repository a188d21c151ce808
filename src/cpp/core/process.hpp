// Tells a forked child from its parent, cheaply enough for every call.
#pragma once

#include <cstdint>

namespace pdum::nvenc {

// Grows by one in each child. An object that remembers another number was made before the fork.
uint64_t process_generation() noexcept;

}  // namespace pdum::nvenc
