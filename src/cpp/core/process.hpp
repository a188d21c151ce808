// Tells a forked child from its parent, cheaply enough for every call.
#pragma once

#include <cstdint>

namespace pdum::nvenc {

// Grows by one in each child: an object that remembers another number was made before a fork.
uint64_t process_generation() noexcept;

}  // namespace pdum::nvenc
