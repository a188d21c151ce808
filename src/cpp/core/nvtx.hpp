// Ranges for NVIDIA's profilers. They cost nothing if the build leaves them out, and next to nothing without a
// profiler.
#pragma once

#ifdef PDUM_USE_NVTX
#include <nvtx3/nvToolsExt.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pdum::nvenc {

#ifdef PDUM_USE_NVTX
constexpr bool nvtx_enabled = true;

inline void begin_range(const char* name) { nvtxRangePushA(name); }
inline void end_range() { nvtxRangePop(); }
inline void name_this_thread(const char* name) { nvtxNameOsThreadA(static_cast<uint32_t>(syscall(SYS_gettid)), name); }

// NVTX looks for a profiler at the first call of a process, and never again. Profilers that know domains give one;
// others count the ranges.
inline bool find_profiler() {
    if (nvtxDomainCreateA("pdum.nvenc") != nullptr) return true;
    const int level = nvtxRangePushA("pdum.import");
    nvtxRangePop();
    return level != NVTX_NO_PUSH_POP_TRACKING;
}
#else
constexpr bool nvtx_enabled = false;

inline void begin_range(const char*) {}
inline void end_range() {}
inline void name_this_thread(const char*) {}
inline bool find_profiler() { return false; }
#endif

class NvtxRange {
   public:
    explicit NvtxRange(const char* name) { begin_range(name); }
    ~NvtxRange() { end_range(); }
    NvtxRange(const NvtxRange&) = delete;
    NvtxRange& operator=(const NvtxRange&) = delete;
};

}  // namespace pdum::nvenc
