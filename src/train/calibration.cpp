#include "train/calibration.h"

#include <algorithm>

#include "data/loader.h"
#include "engine/int8.h"
#include "image/transform.h"

namespace lorikeet {

ActivationRanges calibrate(const Network& network, const Plan& plan, const std::shared_ptr<const Dataset>& data,
                           const Preprocessing& preprocessing) {
  constexpr std::int64_t kImages = 64;
  constexpr std::int64_t kBatch = 32;
  RangeMeter meter(network, plan);
  Loader loader(prepared(data, preprocessing), epoch_order(std::min(kImages, data->size()), /*shuffle=*/false, 0, 0),
                {.batch_size = kBatch});
  for (Batch batch; loader.next(batch);) meter.add(normalise(batch.images, preprocessing));
  return meter.ranges();
}

}  // namespace lorikeet
