// The tables of functions that clients get, one for each API version.
#pragma once

#include <cstdint>

namespace nvsim {

struct Front {
    int major, minor;
    uint32_t list_version;     // NV_ENCODE_API_FUNCTION_LIST_VER
    void (*fill)(void* list);  // an NV_ENCODE_API_FUNCTION_LIST of that version
};

namespace abi_11_1 {
extern const Front front;
}
namespace abi_12_1 {
extern const Front front;
}
namespace abi_12_2 {
extern const Front front;
}
namespace abi_13_0 {
extern const Front front;
}
namespace abi_13_1 {
extern const Front front;
}

}  // namespace nvsim
