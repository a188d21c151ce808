#include "abi/describe_13_0.hpp"
#include "recordings/presets_13_0.hpp"

#define NVSIM_ABI abi_13_0
#define NVSIM_API "13.0"
#include "encode/front.inl"
