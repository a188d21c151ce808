#include "common/engine.hpp"

#include <algorithm>
#include <iterator>

namespace nvsim {

Engine::Engine(double fps_1080p, std::optional<uint64_t> stall_after, std::atomic<bool>* lost)
    : fps_1080p_(fps_1080p), stall_after_(stall_after), lost_(lost) {}

Engine::~Engine() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        quit_ = true;
    }
    changed_.notify_all();
    if (worker_.joinable()) worker_.join();
}

void Engine::submit(std::unique_ptr<Job> job) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        job->ready = Clock::now();
        queue_.push_back(std::move(job));
        if (!worker_.joinable()) worker_ = std::thread([this] { run(); });
    }
    changed_.notify_all();
}

bool Engine::cancel(const void* owner) {
    std::deque<std::unique_ptr<Job>> dropped;
    std::unique_lock<std::mutex> lock(mutex_);
    const auto first =
        std::stable_partition(queue_.begin(), queue_.end(), [owner](const auto& job) { return job->owner != owner; });
    std::move(first, queue_.end(), std::back_inserter(dropped));
    queue_.erase(first, queue_.end());
    if (running_ == owner) {
        cancelled_ = owner;
        changed_.notify_all();
        changed_.wait(lock, [&] { return running_ != owner; });
    }
    return stopped_;
}

void Engine::run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return quit_ || !queue_.empty(); });
        if (quit_) return;
        serve(lock);
    }
}

void Engine::serve(std::unique_lock<std::mutex>& lock) {
    const std::unique_ptr<Job> job = std::move(queue_.front());
    queue_.pop_front();
    running_ = job->owner;
    cancelled_ = nullptr;
    if (job->picture && stop_here(lock)) {
        lock.unlock();
        if (lost_ != nullptr) job->lost();
        lock.lock();
    } else {
        lock.unlock();
        job->work();
        lock.lock();
        schedule(lock, *job);
        const bool done = wait_until_done(lock, *job);
        lock.unlock();
        if (done) job->finish();
        lock.lock();
    }
    running_ = nullptr;
    changed_.notify_all();
}

// Each picture's service begins when it is there and the engine is free, by the schedule and not by when the worker
// woke, so that late wake-ups do not add up.
void Engine::schedule(std::unique_lock<std::mutex>& lock, Job& job) {
    if (!job.picture || fps_1080p_ == 0) return;
    const double seconds = job.pixels / (1920.0 * 1080.0) / fps_1080p_;
    const auto service = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const Clock::time_point begin = std::max(free_at_, job.ready);
    free_at_ = begin + service;
    lock.unlock();
    job.scheduled(begin, begin + service);
    lock.lock();
}

bool Engine::wait_until_done(std::unique_lock<std::mutex>& lock, const Job& job) {
    if (!job.picture || fps_1080p_ == 0) return cancelled_ != job.owner;
    return !changed_.wait_until(lock, free_at_, [&] { return quit_ || cancelled_ == job.owner; });
}

bool Engine::stop_here(std::unique_lock<std::mutex>& lock) {
    if (!stall_after_ || frames_++ < *stall_after_) return false;
    stopped_ = true;
    if (lost_ != nullptr) {
        lost_->store(true);
        return true;
    }
    const void* const owner = running_;
    changed_.wait(lock, [&] { return quit_ || cancelled_ == owner; });
    return true;
}

}  // namespace nvsim
