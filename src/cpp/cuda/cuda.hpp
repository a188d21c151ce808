// Owners of CUDA's objects. Each keeps its context alive, so any order of destruction is right.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cuda/cuda_types.hpp"
#include "cuda/driver.hpp"

namespace pdum::nvenc {

// Throws cuda_failed (or a closer kind) with the driver's name and text of the result.
void check_cuda(CUresult result, const char* call);

// A context that encoders work in: the primary context of a GPU, retained, or one that the caller owns and keeps alive.
class Context {
    struct Key {};  // only primary() and borrowed() have one

   public:
    static std::shared_ptr<const Context> primary(int gpu);
    static std::shared_ptr<const Context> borrowed(CUcontext handle);
    // The caller's, or the primary context of that GPU if the handle is null. Throws invalid_config if both are given
    // and differ in their GPU.
    static std::shared_ptr<const Context> chosen(int gpu, CUcontext handle);
    Context(Key, CUcontext handle, int gpu, bool retained);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    CUcontext handle() const noexcept { return handle_; }
    int gpu() const noexcept { return gpu_; }
    const CudaFunctions& functions() const noexcept { return functions_; }
    std::string gpu_name() const;
    // False in a forked child of the process that made this: the driver must not be called there.
    bool is_usable() const noexcept;

   private:
    const CudaFunctions& functions_;
    CUcontext handle_;
    int gpu_;
    bool retained_;
    uint64_t made_in_;  // process_generation() of the maker
};

int gpu_count();

// Makes a context current for a scope. If it is current already, this costs one query.
class ContextScope {
   public:
    explicit ContextScope(const Context& context);
    ~ContextScope();
    ContextScope(const ContextScope&) = delete;
    ContextScope& operator=(const ContextScope&) = delete;

   private:
    const CudaFunctions& functions_;
    bool pushed_ = false;
};

// A handle of the driver, and how to release it. A forked child calls nothing, because the handle belongs to its
// parent. Every class that owns a driver object holds one of these, so none of them has to handle forks itself.
template <typename Handle>
class OwnedHandle {
   public:
    using Release = CUresult (*CudaFunctions::*)(Handle);

    OwnedHandle() = default;
    OwnedHandle(std::shared_ptr<const Context> context, Handle handle, Release release)
        : context_(std::move(context)), handle_(handle), release_(release) {}
    ~OwnedHandle() { give_back(); }
    OwnedHandle(OwnedHandle&& other) noexcept
        : context_(std::move(other.context_)),
          handle_(std::exchange(other.handle_, Handle{})),
          release_(other.release_) {}
    OwnedHandle& operator=(OwnedHandle&& other) noexcept {
        std::swap(context_, other.context_);
        std::swap(handle_, other.handle_);
        std::swap(release_, other.release_);
        return *this;
    }

    explicit operator bool() const noexcept { return handle_ != Handle{}; }
    const Handle& get() const noexcept { return handle_; }
    const CudaFunctions& functions() const noexcept { return context_->functions(); }

   private:
    // Tries it without the context, too: an object of a context that cannot be made current may be gone already.
    void give_back() noexcept {
        if (handle_ == Handle{} || !context_->is_usable()) return;
        CUcontext popped = nullptr;
        const bool pushed = functions().cuCtxPushCurrent(context_->handle()) == cuda_success;
        (functions().*release_)(handle_);
        if (pushed) functions().cuCtxPopCurrent(&popped);
    }

    std::shared_ptr<const Context> context_;
    Handle handle_{};
    Release release_ = nullptr;
};

// A stream that neither waits for the legacy default stream nor makes it wait.
class Stream {
   public:
    explicit Stream(const std::shared_ptr<const Context>& context);

    CUstream handle() const noexcept { return handle_.get(); }
    // Of the handle, as the driver's encode interface wants it.
    const CUstream* address() const noexcept { return &handle_.get(); }
    void synchronize() const;

   private:
    OwnedHandle<CUstream> handle_;
};

class Event {
   public:
    explicit Event(const std::shared_ptr<const Context>& context);

    void record(CUstream stream) const;
    void make_wait(CUstream stream) const;
    void synchronize() const;
    // Whether everything before the recording is known to be done.
    bool is_done() const noexcept;

   private:
    OwnedHandle<CUevent> handle_;
};

// Rows of device memory at the pitch that the device prefers.
class DeviceRows {
   public:
    // `packed`: no padding between rows.
    DeviceRows(const std::shared_ptr<const Context>& context, size_t row_bytes, size_t rows, bool packed = false);

    CUdeviceptr pointer() const noexcept { return pointer_.get(); }
    size_t pitch() const noexcept { return pitch_; }

   private:
    OwnedHandle<CUdeviceptr> pointer_;
    size_t pitch_ = 0;
};

}  // namespace pdum::nvenc
