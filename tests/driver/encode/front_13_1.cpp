#include "abi/describe_13_1.hpp"
#include "recordings/presets_13_1.hpp"

#define NVSIM_ABI abi_13_1
#define NVSIM_API "13.1"
#include "encode/front.inl"
