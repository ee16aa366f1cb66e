// The failure of a training whose numbers are no longer finite.
#pragma once

#include "lorikeet/error.h"

namespace lorikeet {

/// The loss, a gradient or a trained parameter is NaN or infinite. Going back to an earlier state and continuing with a
/// lower learning rate may avoid it.
class DivergedError : public Error {
 public:
  using Error::Error;
};

}  // namespace lorikeet
