// Many threads on the simulated libcuda, for ThreadSanitizer above all: Python's own threads hand memory over in ways
// that it cannot see. Ends with 0 where every byte was right, nothing is left alive and no rule was broken.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "cuda/api.hpp"

extern "C" {
CUresult cuInit(unsigned flags);
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device);
CUresult cuCtxDestroy_v2(CUcontext context);
CUresult cuCtxPushCurrent_v2(CUcontext context);
CUresult cuCtxPopCurrent_v2(CUcontext* context);
CUresult cuStreamCreate(CUstream* stream, unsigned flags);
CUresult cuStreamDestroy_v2(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
CUresult cuEventCreate(CUevent* event, unsigned flags);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventSynchronize(CUevent event);
CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemHostAlloc(void** address, size_t size, unsigned flags);
CUresult cuMemFreeHost(void* address);
CUresult cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t count, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuPointerGetAttribute(void* data, int attribute, CUdeviceptr address);
const char* nvsim_control(const char* request);
}

namespace {

constexpr size_t kSize = 3000;
constexpr int kThreads = 6;

void need(bool fine, const char* what, int line) {
    if (fine) return;
    std::fprintf(stderr, "line %d: %s\n", line, what);
    std::_Exit(1);
}
#define NEED(condition) need((condition), #condition, __LINE__)
#define DO(call) need((call) == CUDA_SUCCESS, #call, __LINE__)

// Two streams, an event between them, and the bytes that come out at the end.
void pass_a_frame_on(unsigned char value) {
    CUstream producer = nullptr;
    CUstream consumer = nullptr;
    CUevent event = nullptr;
    CUdeviceptr frame = 0;
    CUdeviceptr surface = 0;
    void* host = nullptr;
    DO(cuStreamCreate(&producer, CU_STREAM_NON_BLOCKING));
    DO(cuStreamCreate(&consumer, value % 2));
    DO(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    DO(cuMemAlloc_v2(&frame, kSize));
    DO(cuMemAlloc_v2(&surface, kSize));
    DO(cuMemHostAlloc(&host, kSize, 0));
    DO(cuMemsetD8Async(frame, value, kSize, producer));
    DO(cuEventRecord(event, producer));
    DO(cuStreamWaitEvent(consumer, event, 0));
    DO(cuMemcpyDtoDAsync_v2(surface, frame, kSize, consumer));
    DO(cuMemcpyDtoHAsync_v2(host, surface, kSize, consumer));
    DO(cuEventRecord(event, consumer));
    DO(cuEventSynchronize(event));
    const std::vector<unsigned char> wanted(kSize, value);
    NEED(std::memcmp(host, wanted.data(), kSize) == 0);
    DO(cuMemFreeHost(host));
    DO(cuMemFree_v2(surface));
    DO(cuMemFree_v2(frame));
    DO(cuEventDestroy_v2(event));
    DO(cuStreamDestroy_v2(consumer));
    DO(cuStreamDestroy_v2(producer));
}

struct Shared {
    CUcontext context = nullptr;
    CUdeviceptr memory = 0;
    CUstream stream = nullptr;
    CUevent event = nullptr;
};

void use_what_all_share(const Shared& shared) {
    size_t size = 0;
    DO(cuPointerGetAttribute(&size, 12, shared.memory + 100));
    NEED(size == kSize);
    DO(cuMemsetD8Async(shared.memory, 5, kSize, shared.stream));
    DO(cuEventRecord(shared.event, shared.stream));
    DO(cuEventSynchronize(shared.event));
}

void work(const Shared& shared, int index, int turns) {
    for (int turn = 0; turn < turns; ++turn) {
        DO(cuCtxPushCurrent_v2(shared.context));
        pass_a_frame_on(static_cast<unsigned char>(index * turns + turn));
        use_what_all_share(shared);
        DO(cuCtxPopCurrent_v2(nullptr));
        CUcontext own = nullptr;
        DO(cuCtxCreate_v2(&own, 0, 1));
        pass_a_frame_on(static_cast<unsigned char>(turn));
        DO(cuCtxDestroy_v2(own));
    }
}

void run(int turns) {
    Shared shared;
    DO(cuDevicePrimaryCtxRetain(&shared.context, 0));
    DO(cuCtxPushCurrent_v2(shared.context));
    DO(cuMemAlloc_v2(&shared.memory, kSize));
    DO(cuStreamCreate(&shared.stream, 0));
    DO(cuEventCreate(&shared.event, 0));
    std::atomic<bool> over{false};
    std::thread observer([&] {
        while (!over) NEED(std::strstr(nvsim_control("{\"report\": true}"), "live") != nullptr);
    });
    std::vector<std::thread> threads;
    for (int index = 0; index < kThreads; ++index) threads.emplace_back(work, std::cref(shared), index, turns);
    for (std::thread& thread : threads) thread.join();
    over = true;
    observer.join();
    DO(cuStreamSynchronize(shared.stream));
    DO(cuCtxPopCurrent_v2(nullptr));
    DO(cuDevicePrimaryCtxRelease_v2(0));
}

}  // namespace

int main(int count, char** arguments) {
    DO(cuInit(0));
    run(count > 1 ? std::atoi(arguments[1]) : 20);
    const std::string report = nvsim_control("{\"report\": true}");
    std::puts(report.c_str());
    return 0;
}
