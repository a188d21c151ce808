// Ranges for NVIDIA's profilers. They cost nothing if the build leaves them out, and next to nothing without a
// profiler.
#pragma once

#ifdef PDUM_USE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace pdum::nvenc {

#ifdef PDUM_USE_NVTX
constexpr bool nvtx_enabled = true;

class NvtxRange {
   public:
    explicit NvtxRange(const char* name) { nvtxRangePushA(name); }
    ~NvtxRange() { nvtxRangePop(); }
    NvtxRange(const NvtxRange&) = delete;
    NvtxRange& operator=(const NvtxRange&) = delete;
};
#else
constexpr bool nvtx_enabled = false;

class NvtxRange {
   public:
    explicit NvtxRange(const char*) {}
    ~NvtxRange() {}
    NvtxRange(const NvtxRange&) = delete;
    NvtxRange& operator=(const NvtxRange&) = delete;
};
#endif

}  // namespace pdum::nvenc
