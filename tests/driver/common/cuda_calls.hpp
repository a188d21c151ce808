// The public CUDA driver calls that the encoder and the decoder need, found by dlopen, so that they work over any
// libcuda.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nvsim::cu {

using Context = void*;
using Stream = void*;
using Event = void*;
using DevicePtr = uint64_t;

enum MemoryType : uint32_t { host = 1, device = 2, array = 3 };

// CUDA_MEMCPY2D of the driver interface.
struct Copy2D {
    size_t src_x = 0, src_y = 0;
    MemoryType src_type = device;
    const void* src_host = nullptr;
    DevicePtr src_device = 0;
    void* src_array = nullptr;
    size_t src_pitch = 0;
    size_t dst_x = 0, dst_y = 0;
    MemoryType dst_type = host;
    void* dst_host = nullptr;
    DevicePtr dst_device = 0;
    void* dst_array = nullptr;
    size_t dst_pitch = 0;
    size_t width_bytes = 0;
    size_t height = 0;
};
static_assert(sizeof(Copy2D) == 128);

struct Calls {
    int (*push)(Context);
    int (*pop)(Context*);
    int (*context_device)(int*);
    int (*copy)(const Copy2D*, Stream);
    int (*host_alloc)(void**, size_t);
    int (*host_free)(void*);
    int (*event_create)(Event*, unsigned);
    int (*event_record)(Event, Stream);
    int (*event_wait)(Event);
    int (*event_destroy)(Event);
    int (*stream_wait_event)(Stream, Event, unsigned);
    int (*stream_create)(Stream*, unsigned);
    int (*stream_destroy)(Stream);
    int (*stream_wait)(Stream);
    int (*address_range)(DevicePtr*, size_t*, DevicePtr);
    int (*attribute)(void*, int, DevicePtr);
    int (*device_alloc)(DevicePtr*, size_t);
    int (*device_free)(DevicePtr);
    int (*launch_host)(Stream, void (*)(void*), void*);
    int (*current)(Context*);
    const char* (*control)(const char*);  // of a simulated libcuda; null if it is a real one
};

// Null if no libcuda is there or a call is missing from it.
const Calls* calls();

// Keeps a simulated libcuda from taking this thread's calls for the client's, while any of these is alive.
class Quiet {
   public:
    Quiet();
    ~Quiet();
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
};

// Makes a context current for a scope; `ok` is false if the driver refuses, as it does for a destroyed context.
class Current {
   public:
    explicit Current(Context context) : ok(calls() != nullptr && calls()->push(context) == 0) {}
    ~Current() {
        Context popped;
        if (ok) calls()->pop(&popped);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

   private:
    Quiet quiet_;

   public:
    const bool ok;
};

}  // namespace nvsim::cu
