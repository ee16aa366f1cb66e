// Valid ranges of a recipe's values, checked when a recipe is read and when options are set in code.
#pragma once

#include <cstdint>
#include <limits>

namespace lorikeet {

template <typename T>
struct Range {
  T least;
  T greatest;

  /// False for NaN.
  bool contains(T value) const { return value >= least && value <= greatest; }
};

using IntegerRange = Range<std::int64_t>;
using NumberRange = Range<double>;

namespace ranges {

inline constexpr IntegerRange kCount{0, 1'000'000'000};  // images, steps
inline constexpr IntegerRange kImageSize{0, 4096};
/// Minimum image_size other than 0. The networks downsample by 32: below half of that, most layers of the last stages
/// see only padding. MNIST's 28 pixels still train well.
inline constexpr int kLeastImageSize = 16;
inline constexpr IntegerRange kViews{0, 1'000'000};
inline constexpr IntegerRange kEpochs{1, 1'000'000};
inline constexpr IntegerRange kEarlyStop{0, 1'000'000};
inline constexpr IntegerRange kBatchSize{1, 65536};
inline constexpr IntegerRange kSeed{0, std::numeric_limits<std::int64_t>::max()};
inline constexpr IntegerRange kThreads{0, 1024};
inline constexpr IntegerRange kRank{0, 1 << 16};  // 0 for OFT alone (check_adapter_config)
inline constexpr IntegerRange kBlockSize{0, 1 << 16};
inline constexpr IntegerRange kFrequencies{1, 1 << 24};
inline constexpr IntegerRange kThetaLength{1, 1 << 24};
inline constexpr IntegerRange kHeadWidth{1, 1 << 20};
inline constexpr std::size_t kHeadLayers = 64;

inline constexpr IntegerRange kAugmentOperations{0, 14};
inline constexpr IntegerRange kAugmentMagnitude{0, 30};
inline constexpr NumberRange kColorJitter{0, 10};
inline constexpr NumberRange kHueJitter{0, 0.5};
inline constexpr NumberRange kMixingAlpha{0, 4};

inline constexpr NumberRange kProbability{0, 1};
inline constexpr NumberRange kHeldOutShare{0, 0.45};  // two of them leave images to train on
inline constexpr NumberRange kClassWeight{0, 1e6};
inline constexpr NumberRange kDropout{0, 0.999};
inline constexpr NumberRange kShareOfArea{1e-4, 1};
inline constexpr NumberRange kLearningRate{0, 1e3};
inline constexpr NumberRange kWeightDecay{0, 1e3};
inline constexpr NumberRange kDecay{0, 0.9999999};  // decay of a running average
inline constexpr NumberRange kEps{1e-30, 1};
inline constexpr NumberRange kWarmup{0, 0.99};
inline constexpr NumberRange kLabelSmoothing{0, 0.999};
inline constexpr NumberRange kGradientNorm{0, 1e6};
inline constexpr NumberRange kGib{0, 1024};
inline constexpr NumberRange kSeconds{0, 1e6};

}  // namespace ranges
}  // namespace lorikeet
