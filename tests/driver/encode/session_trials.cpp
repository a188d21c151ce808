// A session whose pictures are coded several times before one is kept, or are shown before they are encoded.
#include <algorithm>

#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/jobs.hpp"
#include "encode/session.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

void Session::require_restored(const char* what) const {
    if (tried_)
        violate(Status::invalid_call,
                text(what, " while no state of picture ", tried_->frame_index, " has been restored since its trials"));
}

// NVENC's programming guide on iterative encoding: all trials of a picture have its frameIdx, the next picture has a
// greater one, and each trial leaves its state in a buffer of its own.
void Session::check_trial(const Submission& submission) const {
    if (!submission.is_trial()) return require_restored("a picture is encoded for good");
    const uint32_t states = setup_.trials.states, index = submission.frame_index;
    if (states == 0)
        violate(Status::invalid_param, "NV_ENC_PIC_FLAG_DISABLE_ENC_STATE_ADVANCE, and numStateBuffers is 0");
    if (submission.state >= states)
        violate(Status::invalid_param, text("stateBufferIdx ", submission.state, " of ", states, " state buffers"));
    if (!tried_) {
        if (last_tried_ && index <= *last_tried_)
            violate(Status::invalid_param,
                    text("frameIdx ", index, " comes after picture ", *last_tried_, ", whose state was restored"));
        return;
    }
    if (index != tried_->frame_index)
        violate(Status::invalid_call, text("frameIdx ", index, " while no state of picture ", tried_->frame_index,
                                           " has been restored since its trials"));
    if (submission.input != tried_->input)
        violate(Status::invalid_param, text("another input for a further trial of picture ", index));
    if (tried_->of_state(submission.state) != nullptr)
        violate(Status::invalid_param,
                text("stateBufferIdx ", submission.state, " holds the state of another trial of picture ", index));
}

// Before a further trial, everything is as it was before the first one.
bool Session::goes_back(const Submission& submission) {
    if (!submission.is_trial() || !tried_) return false;
    reference_rules_ = tried_->references;
    since_idr_ = tried_->since_idr;
    return true;
}

void Session::begin_trials(const Submission& submission) {
    if (!submission.is_trial() || tried_) return;
    tried_.emplace();
    tried_->frame_index = submission.frame_index;
    tried_->input = submission.input;
    tried_->references = reference_rules_;
    tried_->since_idr = since_idr_;
}

void Session::remember_trial(const Submission& submission, const Bitstream& out, const PlannedPicture& picture) {
    tried_->type = picture.type;
    tried_->trials.push_back({submission.state, picture.serial, &out, out.order, reference_rules_, since_idr_});
}

void Session::restore(uint32_t state, uint32_t parts, void* output) {
    require_initialized();
    if (setup_.trials.states == 0) refuse(recorded::restore_empty, "numStateBuffers is 0");
    if (parts < all_of_it || parts > all_but_rates)
        refuse(recorded::restore_empty, text(parts, " is no NV_ENC_STATE_RESTORE_TYPE"));
    if (!tried_)
        violate(Status::invalid_call,
                "no picture was encoded with NV_ENC_PIC_FLAG_DISABLE_ENC_STATE_ADVANCE since the last state was "
                "restored");
    if (tried_->of_state(state) == nullptr)
        violate(Status::invalid_param,
                text("state buffer ", state, " holds no state of picture ", tried_->frame_index));
    for (const Trial& trial : tried_->trials) {
        const bool waits = trial.out->state == Bitstream::pending || trial.out->state == Bitstream::ready;
        if (waits && trial.out->order == trial.order)
            violate(Status::invalid_call, text("a state of picture ", tried_->frame_index,
                                               " is restored before the outputs of all its trials were locked"));
    }
    if (output != nullptr)
        violate(Status::invalid_param, "outputBitstream is given, and no call answered NV_ENC_ERR_NEED_MORE_OUTPUT");
    restore_parts(state, parts);
}

// A client that restores the rates apart from the rest calls twice, in any order.
void Session::restore_parts(uint32_t state, uint32_t parts) {
    std::optional<uint32_t>& part = parts == rates_alone ? tried_->rates_of : tried_->rest_of;
    if (part || (parts == all_of_it && tried_->rates_of))
        violate(Status::invalid_call,
                text("the same part of the state of picture ", tried_->frame_index, " is restored twice"));
    part = state;
    if (parts != all_of_it && !(tried_->rates_of && tried_->rest_of)) return;
    const Trial kept = *tried_->of_state(*tried_->rest_of);
    reference_rules_ = kept.references;
    since_idr_ = kept.since_idr;
    last_tried_ = tried_->frame_index;
    tried_.reset();
    if (!inline_) engine_->submit(std::make_unique<RestoreJob>(shared_from_this(), kept.serial));
}

ShownInput Session::shown_input(void* input) {
    if (InputBuffer* buffer = inputs_.find(input, number_)) {
        if (buffer->locked)
            violate(Status::invalid_call, text("input ", hex(input), " is shown ahead while it is locked"));
        return {buffer, &buffer->in_flight};
    }
    if (Mapped* mapped = mapped_.find(input, number_)) return {mapped->registered, &mapped->in_flight};
    if (registered_.find(input, number_) != nullptr)
        violate(Status::resource_not_mapped, text("resource ", hex(input), " is shown ahead without being mapped"));
    violate(Status::invalid_param, text(hex(input), " is no input of ", name()));
}

// The programming guide on external lookahead: every picture is shown first, and the first one is encoded when
// lookaheadDepth further ones have been shown. At the end of a stream there are fewer.
void Session::look_ahead(void* input) {
    require_initialized();
    if (setup_.trials.lookahead == 0) refuse(recorded::lookahead_empty, "enableExtLookahead is 0");
    if (input == nullptr) refuse(recorded::lookahead_empty, "inputBuffer is null");
    const ShownInput shown = shown_input(input);
    if (lookahead_ends_)
        violate(Status::invalid_call, text("a picture is shown ahead, and the last one was encoded with fewer than ",
                                           setup_.trials.lookahead, " shown after it; end the stream first"));
    ++*shown.in_flight;
    shown_.push_back(shown);
}

void Session::check_shown(const Submission& submission) {
    if (setup_.trials.lookahead == 0 || tried_ || submission.input == nullptr) return;
    const void* resource = shown_input(submission.input).resource;
    if (shown_.empty() || shown_.front().resource != resource)
        violate(Status::invalid_call, text("input ", hex(submission.input), " is encoded, but ",
                                           shown_.empty() ? "no picture waits" : "another picture is the next",
                                           " that was shown to nvEncLookaheadPicture"));
}

void Session::take_shown() {
    if (setup_.trials.lookahead == 0) return;
    --*shown_.front().in_flight;
    shown_.pop_front();
    lookahead_ends_ = shown_.size() < setup_.trials.lookahead;
}

void Session::forget_shown() {
    for (const ShownInput& shown : shown_) --*shown.in_flight;
    shown_.clear();
    lookahead_ends_ = false;
}

}  // namespace nvsim
