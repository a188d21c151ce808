#include "abi/describe_12_1.hpp"
#include "recordings/presets_12_1.hpp"

#define NVSIM_ABI abi_12_1
#define NVSIM_API "12.1"
#include "encode/front.inl"
