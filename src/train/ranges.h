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

using WholeRange = Range<std::int64_t>;
using NumberRange = Range<double>;

namespace ranges {

inline constexpr WholeRange kCount{0, 1'000'000'000};  // of images, of steps
inline constexpr WholeRange kImageSize{0, 4096};
/// Of an image_size that is not 0. The networks reduce an image 32 times; below half of that most layers of their last
/// stages read nothing but padding. MNIST's own 28 pixels still train well.
inline constexpr int kLeastImageSize = 16;
inline constexpr WholeRange kViews{0, 1'000'000};
inline constexpr WholeRange kEpochs{1, 1'000'000};
inline constexpr WholeRange kEarlyStop{0, 1'000'000};
inline constexpr WholeRange kBatchSize{1, 65536};
inline constexpr WholeRange kSeed{0, std::numeric_limits<std::int64_t>::max()};
inline constexpr WholeRange kThreads{0, 1024};
inline constexpr WholeRange kRank{1, 1 << 16};
inline constexpr WholeRange kBlockSize{0, 1 << 16};
inline constexpr WholeRange kHeadWidth{1, 1 << 20};
inline constexpr std::size_t kHeadLayers = 64;

inline constexpr NumberRange kProbability{0, 1};
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

}  // namespace ranges
}  // namespace lorikeet
