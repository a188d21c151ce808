#include "encode/codec_rate.hpp"

#include <algorithm>
#include <cmath>

#include "encode/codec_backends.hpp"

namespace nvsim {
namespace {

constexpr std::array<double, 3> kShare{4.0, 1.0, 0.6};    // of an average picture's bits: I, P, B
constexpr std::array<double, 3> kFirstGuess{40, 16, 10};  // bits at quantiser 0 for each pixel

constexpr int kStep = 3;  // of the quantiser, at most

double scale(int quantiser) { return std::exp2(quantiser / 6.0); }

}  // namespace

RateKeeper::RateKeeper(const StreamSettings& settings) {
    const double pixels = static_cast<double>(settings.format.width) * settings.format.height;
    for (size_t i = 0; i < complexity_.size(); ++i) complexity_[i] = kFirstGuess[i] * pixels;
    change(settings);
}

void RateKeeper::change(const StreamSettings& settings) {
    const double fps = static_cast<double>(settings.fps_numerator) / std::max(1u, settings.fps_denominator);
    bits_a_picture_ = rates_of(settings).average * 1000.0 / std::max(1.0, fps);
    window_ = std::max(2.0, fps / 2);
}

size_t RateKeeper::kind(PictureType type) { return type == PictureType::b ? 2 : type == PictureType::p ? 1 : 0; }

int RateKeeper::quantiser(PictureType type) const {
    const size_t index = kind(type);
    const double wanted = bits_a_picture_ * kShare[index] - debt_ / window_;
    const double target = std::max(wanted, bits_a_picture_ * kShare[index] / 4);
    const int ideal = static_cast<int>(std::lround(6 * std::log2(complexity_[index] / target)));
    const int near = last_[index] == 0 ? ideal : std::clamp(ideal, last_[index] - kStep, last_[index] + kStep);
    return std::clamp(near, 1, 51);
}

void RateKeeper::coded(PictureType type, int quantiser, size_t bytes) {
    const double bits = static_cast<double>(bytes) * 8;
    const size_t index = kind(type);
    const double seen = bits * scale(quantiser);
    complexity_[index] = last_[index] != 0 ? (complexity_[index] + seen) / 2 : seen;
    last_[index] = std::max(1, quantiser);
    debt_ += bits - bits_a_picture_;
    const double limit = bits_a_picture_ * window_ * 2;
    debt_ = std::clamp(debt_, -limit, limit);
}

size_t least_bytes(const StreamSettings& settings) {
    if (!settings.tools.filler || settings.rate_control != RateControl::cbr) return 0;
    const uint64_t bits = uint64_t{settings.average_bitrate} * settings.fps_denominator;
    return static_cast<size_t>(bits / std::max<uint64_t>(1, uint64_t{settings.fps_numerator} * 8));
}

int quality_quantiser(const StreamSettings& settings, PictureType type) {
    const int step = type == PictureType::b ? 2 : type == PictureType::p ? 0 : -2;
    return std::clamp(static_cast<int>(settings.constant_quality) + step, 1, 51);
}

}  // namespace nvsim
