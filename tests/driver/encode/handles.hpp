// Handles that a client holds. They are numbers in the shape of pointers, so that a stale or a foreign one is
// recognised and never followed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace nvsim {

enum class Kind : uint64_t { session = 1, bitstream = 2, input = 3, registered = 4, mapped = 5 };

struct Handle {
    Kind kind;
    uint32_t session;  // the low bits of the session's number
    uint32_t slot;
    uint32_t generation;

    static constexpr int kind_bits = 4, session_bits = 16, slot_bits = 20, generation_bits = 20;

    static Handle decode(const void* pointer) {
        const auto word = reinterpret_cast<uintptr_t>(pointer);
        return {static_cast<Kind>(word >> 56 & 15), static_cast<uint32_t>(word >> 40 & 0xffff),
                static_cast<uint32_t>(word >> 20 & 0xfffff), static_cast<uint32_t>(word & 0xfffff)};
    }
    void* encode() const {
        return reinterpret_cast<void*>(static_cast<uintptr_t>(kind) << 56 | uintptr_t{session & 0xffff} << 40 |
                                       uintptr_t{slot & 0xfffff} << 20 | (generation & 0xfffff));
    }
};

// The objects of one kind of one session. Slots are used again, each time with another generation, and their objects
// stay where they are, so that registering on every frame allocates nothing.
template <typename Object>
class SlotTable {
   public:
    explicit SlotTable(Kind kind) : kind_(kind) {}

    std::pair<Object*, void*> add(uint32_t session) {
        uint32_t slot;
        if (free_.empty()) {
            slot = static_cast<uint32_t>(slots_.size());
            slots_.push_back(std::make_unique<Slot>());
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        Slot& entry = *slots_[slot];
        entry.live = true;
        ++live_;
        return {&entry.object, Handle{kind_, session, slot, entry.generation}.encode()};
    }

    // Null for anything but a live handle of this table.
    Object* find(const void* pointer, uint32_t session) {
        const Handle handle = Handle::decode(pointer);
        if (handle.kind != kind_ || handle.session != (session & 0xffff) || handle.slot >= slots_.size())
            return nullptr;
        Slot& entry = *slots_[handle.slot];
        return entry.live && (entry.generation & 0xfffff) == handle.generation ? &entry.object : nullptr;
    }

    void remove(const void* pointer) {
        const uint32_t slot = Handle::decode(pointer).slot;
        Slot& entry = *slots_[slot];
        entry.live = false;
        ++entry.generation;
        entry.object.clear();
        free_.push_back(slot);
        --live_;
    }

    template <typename Visit>
    void for_each(Visit visit) {
        for (auto& slot : slots_)
            if (slot->live) visit(slot->object);
    }
    size_t live() const { return live_; }

   private:
    struct Slot {
        Object object;
        uint32_t generation = 1;
        bool live = false;
    };

    Kind kind_;
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<uint32_t> free_;
    size_t live_ = 0;
};

}  // namespace nvsim
