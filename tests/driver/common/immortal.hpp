// Objects of a whole library that are never destroyed: clients' threads may call in after static objects are gone.
#pragma once

#include <cstddef>
#include <new>

namespace nvsim {

// The one T of this library, made at the first use.
template <typename T>
T& immortal() {
    alignas(T) static std::byte storage[sizeof(T)];
    static T* const object = ::new (static_cast<void*>(storage)) T;
    return *object;
}

}  // namespace nvsim
