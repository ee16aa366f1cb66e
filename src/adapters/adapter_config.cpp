#include "adapters/adapter_config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxRank = 1 << 16;
constexpr std::int64_t kMaxFactor = 1 << 16;
constexpr std::int64_t kMaxBlock = 1 << 16;
constexpr std::int64_t kMaxTerms = 64;
constexpr std::int64_t kMaxButterflyFactor = 16;
constexpr std::int64_t kMaxFrequencies = 1 << 24;
constexpr std::int64_t kMaxThetaLength = 1 << 24;
constexpr std::int64_t kMaxVector = 1 << 16;
constexpr std::int64_t kMaxSeed = 1LL << 53;

// The value of `bias` that selects the adapted layers, for a method that supports it.
TrainedBias own_bias(PeftType type) {
  switch (type) {
    case PeftType::kOft: return TrainedBias::kOftOnly;
    case PeftType::kBoft: return TrainedBias::kBoftOnly;
    case PeftType::kFourierFt: return TrainedBias::kFourierOnly;
    case PeftType::kVera: return TrainedBias::kVeraOnly;
    case PeftType::kUniLora: return TrainedBias::kUniLoraOnly;
    case PeftType::kTinyLora: return TrainedBias::kTinyLoraOnly;
    default: return TrainedBias::kLoraOnly;
  }
}

void check_bias(const AdapterConfig& config, const std::string& where) {
  const auto& names = trained_bias_names();
  const std::string& bias = names[static_cast<std::size_t>(config.bias)];
  if (config.bias == TrainedBias::kNone) return;
  if (!has_bias(config.peft_type)) {
    fail_usage(where, ": bias: got ", bias, " with peft_type ", name_of(config.peft_type),
               ", expected it with LORA, OFT, BOFT, FOURIERFT, VERA, UNILORA or TINYLORA only.");
  }
  const TrainedBias own = own_bias(config.peft_type);
  if (config.bias != TrainedBias::kAll && config.bias != own) {
    fail_usage(where, ": bias: got ", bias, " with peft_type ", name_of(config.peft_type), ", expected none, all or ",
               names[static_cast<std::size_t>(own)], ".");
  }
}

void check_range(std::int64_t value, std::int64_t least, std::int64_t most, const std::string& field) {
  if (value < least || value > most)
    fail_usage(field, ": got ", value, ", expected an integer from ", least, " to ", most, ".");
}

void check_probability(double value, const std::string& field) {
  if (!(value >= 0 && value < 1)) fail_usage(field, ": got ", value, ", expected a probability from 0 to below 1.");
}

void check_oft(const AdapterConfig& config, const std::string& where) {
  const OftOptions& oft = config.oft;
  check_range(oft.block_size, 0, kMaxBlock, where + ": oft_block_size");
  check_range(oft.num_cayley_neumann_terms, 1, kMaxTerms, where + ": num_cayley_neumann_terms");
  if (!(oft.eps >= 0) || !std::isfinite(oft.eps))
    fail_usage(where, ": eps: got ", oft.eps, ", expected a finite number of at least 0.");
}

void check_boft(const AdapterConfig& config, const std::string& where) {
  const BoftOptions& boft = config.boft;
  check_range(boft.block_size, 0, kMaxBlock, where + ": boft_block_size");
  check_range(boft.block_num, 0, kMaxBlock, where + ": boft_block_num");
  check_range(boft.n_butterfly_factor, 1, kMaxButterflyFactor, where + ": boft_n_butterfly_factor");
  check_probability(boft.dropout, where + ": boft_dropout");
  if ((boft.block_size == 0) == (boft.block_num == 0)) {
    fail_usage(where, ": boft_block_size, boft_block_num: got ", boft.block_size, " and ", boft.block_num,
               ", expected one of the two to be 0, as in PEFT: the other follows from the layer.");
  }
}

void check_fourierft(const AdapterConfig& config, const std::string& where) {
  const FourierFtOptions& options = config.fourierft;
  check_range(options.n_frequency, 1, kMaxFrequencies, where + ": n_frequency");
  for (const auto& [pattern, count] : options.n_frequency_pattern) {
    if (!(count >= 1 && count <= kMaxFrequencies) || count != std::floor(count)) {
      fail_usage(where, ": n_frequency_pattern: got ", count, ", expected an integer from 1 to ", kMaxFrequencies, ".");
    }
  }
  if (!std::isfinite(options.scaling) || options.scaling == 0)
    fail_usage(where, ": scaling: got ", options.scaling, ", expected a finite number other than 0.");
}

void check_vera(const AdapterConfig& config, const std::string& where) {
  check_probability(config.vera.dropout, where + ": vera_dropout");
  if (!std::isfinite(config.vera.d_initial))
    fail_usage(where, ": d_initial: got ", config.vera.d_initial, ", expected a finite number.");
}

void check_unilora(const AdapterConfig& config, const std::string& where) {
  const UniLoraOptions& options = config.unilora;
  check_range(options.theta_d_length, 1, kMaxThetaLength, where + ": theta_d_length");
  check_probability(options.dropout, where + ": unilora_dropout");
  if (options.proj_seed < 0)
    fail_usage(where, ": proj_seed: got ", options.proj_seed, ", expected an integer of at least 0, as numpy does.");
  if (!(options.init_theta_d_bound > 0) || !std::isfinite(options.init_theta_d_bound)) {
    fail_usage(where, ": init_theta_d_bound: got ", options.init_theta_d_bound,
               ", expected a finite number above 0. From 0, the product of A and B has no gradient.");
  }
}

void check_tinylora(const AdapterConfig& config, const std::string& where) {
  const TinyLoraOptions& tiny = config.tinylora;
  check_range(tiny.u, 1, kMaxVector, where + ": u");
  check_range(tiny.projection_seed, 0, kMaxSeed, where + ": projection_seed");
  check_probability(tiny.dropout, where + ": tinylora_dropout");
  if (!(tiny.weight_tying >= 0 && tiny.weight_tying <= 1))
    fail_usage(where, ": weight_tying: got ", tiny.weight_tying, ", expected a number from 0 to 1.");
  if (!(tiny.init_v_bound >= 0) || !std::isfinite(tiny.init_v_bound))
    fail_usage(where, ": init_v_bound: got ", tiny.init_v_bound, ", expected a finite number of at least 0.");
}

}  // namespace

const std::vector<std::string>& peft_type_names() {
  static const std::vector<std::string> kNames{"LORA", "LOHA",      "LOKR", "IA3",     "LN_TUNING", "HIRA",    "OFT",
                                               "BOFT", "FOURIERFT", "VERA", "UNILORA", "LORA_XS",   "TINYLORA"};
  return kNames;
}

bool has_alpha(PeftType type) {
  return type == PeftType::kLora || type == PeftType::kLoha || type == PeftType::kLokr || type == PeftType::kLoraXs;
}

bool has_rank_pattern(PeftType type) { return has_alpha(type) || type == PeftType::kHira; }

bool has_rank(PeftType type) {
  return has_rank_pattern(type) || type == PeftType::kVera || type == PeftType::kUniLora || type == PeftType::kTinyLora;
}

double rank_divisor(const AdapterConfig& config, std::int64_t rank) {
  const auto value = static_cast<double>(rank);
  return config.use_rslora ? std::sqrt(value) : value;
}

bool has_layer_filter(PeftType type) { return type != PeftType::kIa3 && type != PeftType::kLnTuning; }

bool has_exclusions(PeftType type) {
  return type != PeftType::kVera && type != PeftType::kUniLora && type != PeftType::kTinyLora;
}

bool has_bias(PeftType type) {
  return type == PeftType::kLora || type == PeftType::kOft || type == PeftType::kBoft || type == PeftType::kFourierFt ||
         type == PeftType::kVera || type == PeftType::kUniLora || type == PeftType::kTinyLora;
}

const char* alpha_key(PeftType type) {
  return type == PeftType::kLora || type == PeftType::kLoraXs ? "lora_alpha" : "alpha";
}

const std::vector<std::string>& lora_start_names() {
  static const std::vector<std::string> kNames{"default", "gaussian", "pissa", "olora", "orthogonal"};
  return kNames;
}

const std::vector<std::string>& trained_bias_names() {
  static const std::vector<std::string> kNames{"none",         "all",       "lora_only",    "oft_only",     "boft_only",
                                               "fourier_only", "vera_only", "unilora_only", "tinylora_only"};
  return kNames;
}

const std::string& name_of(PeftType type) { return peft_type_names()[static_cast<std::size_t>(type)]; }

void check_adapter_config(const AdapterConfig& config, const std::string& where) {
  const auto check_rank = [&](double rank, const char* field) {
    if (!(rank >= 1 && rank <= kMaxRank) || rank != std::floor(rank)) {
      fail_usage(where, ": ", field, ": got ", rank, ", expected an integer from 1 to ", kMaxRank, ".");
    }
  };
  const auto check_alpha = [&](double alpha, const char* field) {
    if (!std::isfinite(alpha) || alpha == 0)
      fail_usage(where, ": ", field, ": got ", alpha, ", expected a finite number other than 0.");
  };
  // PEFT's OFT has r = 0 next to a block size.
  const bool needs_rank = config.peft_type != PeftType::kOft || config.oft.block_size == 0 || config.r != 0;
  if (needs_rank) check_rank(static_cast<double>(config.r), "r");
  check_alpha(config.lora_alpha, alpha_key(config.peft_type));
  for (const auto& [pattern, rank] : config.rank_pattern) check_rank(rank, "rank_pattern");
  for (const auto& [pattern, alpha] : config.alpha_pattern) check_alpha(alpha, "alpha_pattern");
  check_probability(config.lora_dropout, where + ": lora_dropout");
  check_probability(config.hira_dropout, where + ": hira_dropout");
  check_oft(config, where);
  check_boft(config, where);
  check_fourierft(config, where);
  check_vera(config, where);
  check_unilora(config, where);
  check_tinylora(config, where);
  check_bias(config, where);
  if (config.decompose_factor != -1 && (config.decompose_factor < 1 || config.decompose_factor > kMaxFactor)) {
    fail_usage(where, ": decompose_factor: got ", config.decompose_factor,
               ", expected -1 (near the square root) or a number from 1 to ", kMaxFactor, ".");
  }
  if (config.peft_type != PeftType::kLora) {
    const bool is_lora_only = config.use_dora || config.lora_bias || config.use_rslora ||
                              (config.lora_dropout != 0 && config.peft_type != PeftType::kLoraXs) ||
                              config.init_lora_weights != LoraStart::kDefault;
    if (is_lora_only) {
      fail_usage(where, ": got one of use_dora, use_rslora, lora_bias, lora_dropout, init_lora_weights with peft_type ",
                 name_of(config.peft_type), ", expected it with LORA only.");
    }
  }
  const auto* targets = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (const auto* inputs = std::get_if<std::vector<std::string>>(&config.feedforward_modules);
      targets != nullptr && inputs != nullptr) {
    for (const auto& entry : *inputs) {
      if (std::find(targets->begin(), targets->end(), entry) == targets->end()) {
        fail_usage(where, ": feedforward_modules: got '", printable(entry),
                   "', expected only entries of target_modules, as PEFT does.");
      }
    }
  }
  if (config.lora_bias && (config.use_dora || (config.init_lora_weights != LoraStart::kDefault &&
                                               config.init_lora_weights != LoraStart::kGaussian))) {
    fail_usage(where,
               ": lora_bias: got it with use_dora or an init_lora_weights other than default and gaussian, expected it "
               "without, as in PEFT.");
  }
}

}  // namespace lorikeet
