#include "abi/describe_12_2.hpp"
#include "recordings/presets_12_2.hpp"

#define NVSIM_ABI abi_12_2
#define NVSIM_API "12.2"
#include "encode/front.inl"
