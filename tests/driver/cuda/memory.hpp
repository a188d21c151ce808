// Simulated device memory, pinned host memory, and what is known of a pointer.
//
// A device pointer lies in a range of addresses that is reserved and never readable, so that a client which takes it
// for host memory crashes as it would with a GPU; the bytes lie in a second range at a fixed distance.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cuda/api.hpp"

namespace nvsim::cuda {

// `pool`: of a stream-ordered pool. `mapped`: virtual memory, an address range that memory is mapped into.
enum class MemoryKind : int { device, pinned, managed, pool, mapped };

struct Allocation {
    std::atomic<uint64_t> base{0};  // the address that the client knows
    std::atomic<uint64_t> size{0};  // as asked for
    std::atomic<bool> alive{false};
    std::atomic<Context*> context{nullptr};
    std::atomic<uint64_t> context_serial{0};
    std::atomic<int> device{0};
    std::atomic<MemoryKind> kind{MemoryKind::device};
    std::atomic<unsigned> flags{0};
    std::atomic<uint64_t> id{0};
    std::atomic<const void*> pool{nullptr};  // that it comes from
    std::atomic<bool> accessible{true};      // false: reserved addresses, without memory or without access to it
};

// Null if the GPU's memory is spent.
Allocation* allocate(Context& context, size_t size, MemoryKind kind, unsigned flags = 0);

// For a client's call: in the current context, with the address stored.
CUresult allocate_in_current(size_t size, MemoryKind kind, unsigned flags, CUdeviceptr* address);

// Addresses without memory, of no context.
Allocation* reserve_addresses(int device, size_t size);

// For a client's call that frees: the living allocation that begins at the address, pinned host memory or not. Null and
// a violation if there is none.
Allocation* allocation_to_free(uint64_t address, bool host);

// Ends the allocation; the bytes serve again. False if another thread was first.
bool free_allocation(Allocation& allocation);
void end_allocations_of(const Context& context);

// The allocation that holds the address, dead ones included; null if there never was one.
Allocation* find_allocation(uint64_t address);

// Whether the address is in the range of device pointers, allocated or not.
bool is_device_address(uint64_t address);

// Where the simulator itself reads and writes the bytes at a device, managed or pinned address.
std::byte* bytes_at(uint64_t address);

uint64_t memory_used(int device);
int64_t live_device_allocations();
int64_t live_host_allocations();

// Ordinary memory that a client made known with cuMemHostRegister.
CUresult register_host(void* address, size_t size);
CUresult unregister_host(void* address);
bool registered_host(uint64_t address, uint64_t& base, uint64_t& size);
int64_t live_registrations();

}  // namespace nvsim::cuda
