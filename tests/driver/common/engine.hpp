// One hardware encoder or decoder of a simulated GPU: a queue that is served in order, at the engine's rate.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace nvsim {

using Clock = std::chrono::steady_clock;

// What a session hands to its engine. `owner` names the session, so that its jobs can be taken back.
class Job {
   public:
    explicit Job(const void* owner_of_job, bool is_picture) : owner(owner_of_job), picture(is_picture) {}
    virtual ~Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    virtual void work() = 0;  // codes the picture; may wait for its pixels
    // When the engine begins and ends to code what work() has made.
    virtual void scheduled(Clock::time_point, Clock::time_point) {}
    virtual void finish() = 0;  // the engine is done at this moment: hands the results over
    virtual void lost() = 0;    // the device is gone: nothing will come any more

    const void* const owner;
    const bool picture;         // counts as a frame and takes its service time
    Clock::time_point ready{};  // when the picture came; work() moves it on where the pixels come later
    double pixels = 0;
};

class Engine {
   public:
    // fps_1080p 0: as fast as the coder can. With stall_after the engine stops forever after so many frames, and the
    // whole device is lost where `lost` is given, which becomes true then.
    Engine(double fps_1080p, std::optional<uint64_t> stall_after, std::atomic<bool>* lost);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    void submit(std::unique_ptr<Job> job);
    // Returns when no job of the owner is waiting or running any more; true if the engine has stopped forever.
    bool cancel(const void* owner);

    // Whether coding inside the client's call makes no difference that a client could see.
    bool can_run_inline() const { return fps_1080p_ == 0 && !stall_after_; }

    std::atomic<int> sessions{0};

   private:
    void run();
    void serve(std::unique_lock<std::mutex>& lock);
    void schedule(std::unique_lock<std::mutex>& lock, Job& job);
    bool wait_until_done(std::unique_lock<std::mutex>& lock, const Job& job);
    bool stop_here(std::unique_lock<std::mutex>& lock);

    const double fps_1080p_;
    const std::optional<uint64_t> stall_after_;
    std::atomic<bool>* const lost_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::unique_ptr<Job>> queue_;
    const void* running_ = nullptr;    // the owner of the job at work
    const void* cancelled_ = nullptr;  // its owner wants it to stop waiting
    bool quit_ = false;
    bool stopped_ = false;
    uint64_t frames_ = 0;
    Clock::time_point free_at_{};
    std::thread worker_;
};

}  // namespace nvsim
