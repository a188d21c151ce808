#include "abi/describe_11_1.hpp"
#include "recordings/presets_11_1.hpp"

#define NVSIM_ABI abi_11_1
#define NVSIM_API "11.1"
#include "encode/front.inl"
