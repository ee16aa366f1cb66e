// timm's own weights of the models of the table. They are repositories of the Hub, "timm/ARCHITECTURE.TAG", which say
// their classes and preprocessing themselves (docs/hub.md).
#pragma once

#include <string>

#include "models/model_entry.h"

namespace lorikeet {

/// The weights that timm.create_model(ARCHITECTURE, pretrained=True) loads (timm 1.0, its default_cfgs), for the entry
/// of that architecture; without a repository if timm has none. `name` is the entry's.
HubWeights timm_weights(const std::string& name);

}  // namespace lorikeet
