#include "common/session_registry.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>

namespace nvsim {
namespace {

constexpr size_t kSlots = 256;

// Plain numbers without invariants between processes: a zeroed file is an empty table. pid 0: a free slot.
struct Slot {
    std::atomic<int32_t> pid;
    std::atomic<int32_t> gpu;
    std::atomic<int32_t> geforce;
    std::atomic<int32_t> codec;
    std::atomic<uint32_t> width;
    std::atomic<uint32_t> height;
    std::atomic<uint32_t> fps;
    std::atomic<uint32_t> latency_us;
};
static_assert(sizeof(Slot) == 32 && std::atomic<int32_t>::is_always_lock_free);

bool alive(int pid) { return kill(pid, 0) == 0 || errno == EPERM; }

void store(Slot& slot, const EncoderSession& session) {
    slot.gpu = session.gpu;
    slot.geforce = session.geforce;
    slot.codec = session.codec;
    slot.width = session.width;
    slot.height = session.height;
    slot.fps = session.fps;
    slot.latency_us = session.latency_us;
}

EncoderSession load(const Slot& slot) {
    return {slot.pid, slot.gpu, slot.geforce != 0, slot.codec, slot.width, slot.height, slot.fps, slot.latency_us};
}

}  // namespace

// The slots, in a mapped file or in memory of this process, and the lock over them.
struct SessionRegistry::Table {
    explicit Table(const std::string& path) {
        int flags = MAP_SHARED;
        if (path.empty()) {
            flags = MAP_PRIVATE | MAP_ANONYMOUS;
        } else {
            file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
            if (file < 0 || ftruncate(file, static_cast<off_t>(kSlots * sizeof(Slot))) != 0) fail(path);
        }
        void* memory = mmap(nullptr, kSlots * sizeof(Slot), PROT_READ | PROT_WRITE, flags, file, 0);
        if (memory == MAP_FAILED) fail(path);
        slots = static_cast<Slot*>(memory);
    }

    ~Table() {
        munmap(slots, kSlots * sizeof(Slot));
        if (file >= 0) close(file);
    }

    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    [[noreturn]] void fail(const std::string& path) const {
        const int error = errno;
        if (file >= 0) close(file);
        throw std::runtime_error("state \"" + path + "\": " + std::strerror(error));
    }

    int file = -1;
    Slot* slots = nullptr;
    std::mutex mutex;
};

namespace {

// Threads by the mutex, processes by the file.
template <typename Table>
class Locked {
   public:
    explicit Locked(Table& table) : lock_(table.mutex), file_(table.file) {
        if (file_ >= 0) flock(file_, LOCK_EX);
    }
    ~Locked() {
        if (file_ >= 0) flock(file_, LOCK_UN);
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    std::lock_guard<std::mutex> lock_;
    int file_;
};

}  // namespace

SessionRegistry::Ticket::Ticket(std::shared_ptr<Table> table, size_t slot) : table_(std::move(table)), slot_(slot) {}

SessionRegistry::Ticket::~Ticket() { table_->slots[slot_].pid = 0; }

void SessionRegistry::Ticket::update(const EncoderSession& session) { store(table_->slots[slot_], session); }

void SessionRegistry::Ticket::rate(uint32_t fps, uint32_t latency_us) {
    table_->slots[slot_].fps.store(fps, std::memory_order_relaxed);
    table_->slots[slot_].latency_us.store(latency_us, std::memory_order_relaxed);
}

SessionRegistry::SessionRegistry(const std::string& path) : table_(std::make_shared<Table>(path)) {}
SessionRegistry::~SessionRegistry() = default;

std::unique_ptr<SessionRegistry::Ticket> SessionRegistry::open(const EncoderSession& session, int limit) {
    const Locked<Table> lock(*table_);
    size_t free_slot = kSlots;
    int rivals = 0;
    for (size_t i = 0; i < kSlots; ++i) {
        Slot& slot = table_->slots[i];
        if (slot.pid != 0 && !alive(slot.pid)) slot.pid = 0;
        if (slot.pid == 0) {
            if (free_slot == kSlots) free_slot = i;
        } else if (session.geforce ? slot.geforce != 0 : slot.gpu == session.gpu) {
            ++rivals;
        }
    }
    if (free_slot == kSlots || (limit > 0 && rivals >= limit)) return nullptr;
    store(table_->slots[free_slot], session);
    table_->slots[free_slot].pid = session.pid != 0 ? session.pid : getpid();
    return std::make_unique<Ticket>(table_, free_slot);
}

std::vector<EncoderSession> SessionRegistry::sessions() const {
    const Locked<Table> lock(*table_);
    std::vector<EncoderSession> found;
    for (size_t i = 0; i < kSlots; ++i) {
        const EncoderSession session = load(table_->slots[i]);
        if (session.pid != 0 && alive(session.pid)) found.push_back(session);
    }
    return found;
}

}  // namespace nvsim
