// CUDA's objects as owners: each holds the context that it lives in, so that no order of destruction can go wrong.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/cuda_types.hpp"
#include "cuda/driver.hpp"

namespace pdum::nvenc {

// Throws cuda_failed (or a closer kind) with the driver's name and text of the result.
void check_cuda(CUresult result, const char* call);

// A context that encoders work in: a device's primary one, retained, or one that the caller owns and keeps alive.
class Context {
    struct Key {};  // only the two makers below have one

   public:
    static std::shared_ptr<const Context> primary(int gpu);
    static std::shared_ptr<const Context> borrowed(CUcontext handle);
    Context(Key, CUcontext handle, int gpu, bool retained);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    CUcontext handle() const noexcept { return handle_; }
    int gpu() const noexcept { return gpu_; }
    const CudaFunctions& functions() const noexcept { return functions_; }
    std::string gpu_name() const;

   private:
    const CudaFunctions& functions_;
    CUcontext handle_;
    int gpu_;
    bool retained_;
    uint64_t made_in_;  // process_generation() of the maker: a forked child gives nothing back
};

int gpu_count();

// Makes a context current for a scope. It costs one query where it is current already.
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

// A stream that neither waits for the legacy default stream nor makes it wait.
class Stream {
   public:
    explicit Stream(std::shared_ptr<const Context> context);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    CUstream handle() const noexcept { return handle_; }
    // The driver's encode interface wants the address of the handle.
    CUstream* address() noexcept { return &handle_; }
    void synchronize() const;

   private:
    std::shared_ptr<const Context> context_;
    CUstream handle_ = nullptr;
};

class Event {
   public:
    explicit Event(std::shared_ptr<const Context> context);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(CUstream stream) const;
    void make_wait(CUstream stream) const;
    void synchronize() const;

   private:
    std::shared_ptr<const Context> context_;
    CUevent handle_ = nullptr;
};

// Rows of device memory at the pitch that the device likes.
class DeviceRows {
   public:
    // `packed`: no padding behind a row, else as CUDA likes it.
    DeviceRows(std::shared_ptr<const Context> context, size_t row_bytes, size_t rows, bool packed = false);
    ~DeviceRows();
    DeviceRows(const DeviceRows&) = delete;
    DeviceRows& operator=(const DeviceRows&) = delete;

    CUdeviceptr pointer() const noexcept { return pointer_; }
    size_t pitch() const noexcept { return pitch_; }

   private:
    std::shared_ptr<const Context> context_;
    CUdeviceptr pointer_ = 0;
    size_t pitch_ = 0;
};

}  // namespace pdum::nvenc
