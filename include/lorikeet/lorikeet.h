// The complete public interface of Lorikeet.
#pragma once

#include "lorikeet/adapter_set.h"
#include "lorikeet/error.h"
#include "lorikeet/model.h"
#include "lorikeet/progress.h"
#include "lorikeet/train.h"
#include "lorikeet/version.h"
