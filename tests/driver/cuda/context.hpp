// Devices, contexts, and the stack of contexts that every thread has.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "common/config.hpp"
#include "cuda/api.hpp"
#include "cuda/handles.hpp"

namespace nvsim::cuda {

struct Context {
    std::atomic<bool> alive{false};
    std::atomic<int> device{0};
    std::atomic<unsigned> flags{0};
    std::atomic<bool> primary{false};
    std::atomic<uint64_t> serial{0};       // of this life; objects made in an earlier life of the slot are stale
    std::atomic<Stream*> legacy{nullptr};  // the NULL stream's queue, made when first needed
    std::atomic<uint64_t> peers{0};        // bit per device: access enabled
    std::mutex at_work;                    // while memory work of a default stream is done at once
};

using ContextPool = HandlePool<Context, 1 << 16>;
ContextPool& contexts();

// What a library call needs to know of the configuration, without a lock.
struct Machine {
    std::atomic<int> devices{0};
    std::atomic<int> cuda_version{0};
    std::atomic<bool> copy{true};
    std::atomic<bool> async_streams{false};
};
Machine& machine();

// The GPU's values; a copy, for calls that are not hot.
Gpu gpu(int device);

// After cuInit succeeded in this process; a forked child of a process that uses CUDA never gets there.
bool initialised();
CUresult initialise();

class ThreadContexts {
   public:
    static Context* current() { return depth_ > 0 ? stack_[depth_ - 1] : nullptr; }
    static CUresult push(Context* context);
    static Context* pop();  // the stack must not be empty
    static void set(Context* context);

   private:
    static constexpr int kDepth = 64;
    static inline thread_local Context* stack_[kDepth] __attribute__((tls_model("initial-exec"))) = {};
    static inline thread_local int depth_ __attribute__((tls_model("initial-exec"))) = 0;
};

// The current context for a call that works in one: null if there is none or it is dead, with `status` filled and a
// violation noted.
Context* working_context(CUresult& status);

// CUDA_SUCCESS, or what is wrong with a context that the client named.
CUresult check_context(const Context* context);

Context* create_context(int device, unsigned flags);
CUresult destroy_context(Context* context);

// Primary contexts are made by their first user and end with their last.
Context* retain_primary(int device);
CUresult release_primary(int device);
CUresult reset_primary(int device);
bool primary_active(int device, unsigned& flags);
CUresult set_primary_flags(int device, unsigned flags);
int64_t primary_retains();

std::string name_of(const void* handle, const char* kind);  // "stream 0x55…"

}  // namespace nvsim::cuda
