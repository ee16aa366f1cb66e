// The settings of the Hub's own client, huggingface_hub, from its environment variables.
#pragma once

#include <filesystem>
#include <string>

namespace lorikeet {

/// $HF_ENDPOINT, or the Hub's URL; without a trailing slash.
std::string hub_endpoint();

/// The Hub's URL unless $HF_ENDPOINT is set.
inline constexpr const char* kDefaultHubEndpoint = "https://huggingface.co";

/// $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else `hub` in $HF_HOME, which is $XDG_CACHE_HOME/huggingface or
/// ~/.cache/huggingface by default.
std::filesystem::path hub_cache_folder();

/// $HF_TOKEN or $HUGGING_FACE_HUB_TOKEN, else the content of the file $HF_TOKEN_PATH or $HF_HOME/token; "" if there is
/// none, or $HF_HUB_DISABLE_IMPLICIT_TOKEN is set. Throws Error if it is not valid in an HTTP header.
std::string hub_token();

/// Whether $HF_HUB_OFFLINE or $TRANSFORMERS_OFFLINE forbids all requests.
bool hub_is_offline();

/// Whether $HF_HUB_DISABLE_SYMLINKS requests files instead of links.
bool hub_without_links();

}  // namespace lorikeet
