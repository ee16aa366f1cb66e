// PEFT's configuration of an adapter (peft 0.21, `adapter_config.json`): the fields used for vision models, with PEFT's
// names and defaults, of the supported methods. Other fields are kept when a file is rewritten.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace lorikeet {

/// PEFT's `peft_type`; LORA_XS is not PEFT's. DoRA is LoRA with use_dora. BitFit is LoRA with bias "all" and no
/// targets.
enum class PeftType {
  kLora,
  kLoha,
  kLokr,
  kIa3,
  kLnTuning,
  kHira,
  kOft,
  kBoft,
  kFourierFt,
  kVera,
  kUniLora,
  kLoraXs,
  kTinyLora
};

/// "LORA", "LOHA" …, in the order of PeftType.
const std::vector<std::string>& peft_type_names();
const std::string& name_of(PeftType type);
/// Whether the method has a rank, `r`.
bool has_rank(PeftType type);
/// Whether it has `rank_pattern`.
bool has_rank_pattern(PeftType type);
/// Whether it has a scale, `alpha` and `alpha_pattern`.
bool has_alpha(PeftType type);
/// The name of the scale in the method's file.
const char* alpha_key(PeftType type);
/// Whether it has `layers_to_transform` and `layers_pattern`.
bool has_layer_filter(PeftType type);
/// Whether it has `exclude_modules`.
bool has_exclusions(PeftType type);
/// Whether it has `bias`.
bool has_bias(PeftType type);

/// Selects modules: none, a regular expression for the full dotted name, or a list of names and suffixes.
using ModulePattern = std::variant<std::monostate, std::string, std::vector<std::string>>;

/// Pairs of a regular expression, matched against the end of a module's name, and a value. The first match applies.
using PatternTable = std::vector<std::pair<std::string, double>>;

/// Initialisation of lora_A and lora_B (PEFT's `init_lora_weights`). Default: A Kaiming-uniform, B zero. Gaussian: A
/// normal with standard deviation 1 / r, B zero. PiSSA and OLoRA: principal components of the weight by SVD
/// (arXiv:2404.02948) or QR (arXiv:2406.01775), which are subtracted from the weight. Orthogonal: two random matrices
/// whose product is zero.
enum class LoraStart { kDefault, kGaussian, kPissa, kOlora, kOrthogonal };

/// "default", "gaussian" …, in the order of LoraStart.
const std::vector<std::string>& lora_start_names();

/// Which biases of the base are trained (PEFT's `bias`): none, all, or those of the adapted layers, which each method
/// names differently.
enum class TrainedBias {
  kNone,
  kAll,
  kLoraOnly,
  kOftOnly,
  kBoftOnly,
  kFourierOnly,
  kVeraOnly,
  kUniLoraOnly,
  kTinyLoraOnly
};

/// "none", "all", "lora_only" …, in the order of TrainedBias.
const std::vector<std::string>& trained_bias_names();

/// OFT's own fields.
struct OftOptions {
  /// Rows of a block; 0: `r` is the number of blocks.
  std::int64_t block_size = 32;
  /// One block for the complete layer.
  bool block_share = false;
  /// Constrained: the blocks' skew-symmetric matrices stay within `eps` of zero.
  bool coft = false;
  double eps = 6e-5;
  /// Approximates the Cayley transform by a Neumann series with num_cayley_neumann_terms terms.
  bool use_cayley_neumann = true;
  std::int64_t num_cayley_neumann_terms = 5;

  bool operator==(const OftOptions&) const = default;
};

/// BOFT's own fields.
struct BoftOptions {
  /// Rows of a block; 0: `block_num` is the number of blocks. One of the two is 0.
  std::int64_t block_size = 4;
  std::int64_t block_num = 0;
  std::int64_t n_butterfly_factor = 1;
  /// Probability of replacing a block of one factor by the identity.
  double dropout = 0;

  bool operator==(const BoftOptions&) const = default;
};

/// FourierFT's own fields.
struct FourierFtOptions {
  /// Learned numbers of a layer, at most the elements of its weight.
  std::int64_t n_frequency = 1000;
  /// Other numbers by module (PatternRule::kFrequency).
  PatternTable n_frequency_pattern = {};
  double scaling = 150;
  /// Seed of the frequencies; a negative number is its two's complement, as in PyTorch.
  std::int64_t random_loc_seed = 777;
  /// Whether the spectrum starts at zero; otherwise it is drawn from a standard normal distribution.
  bool init_weights = true;

  bool operator==(const FourierFtOptions&) const = default;
};

/// VeRA's own fields.
struct VeraOptions {
  /// Seed of the shared matrices; a negative number is its two's complement, as in PyTorch.
  std::int64_t projection_prng_key = 0;
  /// Whether the file holds them.
  bool save_projection = false;
  double dropout = 0;
  /// Initial value of vera_lambda_d.
  double d_initial = 0.1;

  bool operator==(const VeraOptions&) const = default;
};

/// UniLoRA's own fields.
struct UniLoraOptions {
  /// Learned numbers of the complete adapter.
  std::int64_t theta_d_length = 256;
  /// Seed of the places where they are used.
  std::int64_t proj_seed = 42;
  /// Whether the file holds these.
  bool save_indices = false;
  /// The vector starts uniform in [−bound, bound].
  double init_theta_d_bound = 0.02;
  double dropout = 0;

  bool operator==(const UniLoraOptions&) const = default;
};

/// TinyLoRA's own fields.
struct TinyLoraOptions {
  /// Elements of a learned vector.
  std::int64_t u = 64;
  /// From 0, a vector for each layer, to 1, one for all.
  double weight_tying = 0;
  /// Layer i, from 0 in the order of the network's modules, has the projection of seed projection_seed + i.
  std::int64_t projection_seed = 42;
  /// Whether the file contains the projections. If not, they are those of PyTorch's generator.
  bool save_projection = true;
  double dropout = 0;
  /// Initial vectors: zero, or uniform in [−init_v_bound, init_v_bound].
  bool starts_uniform = false;
  double init_v_bound = 0.02;

  bool operator==(const TinyLoraOptions&) const = default;
};

/// PEFT's `r` of HiRA; a recipe has 8, as for LoRA.
inline constexpr std::int64_t kPeftHiraRank = 32;

struct AdapterConfig {
  PeftType peft_type = PeftType::kLora;
  ModulePattern target_modules;
  ModulePattern exclude_modules;
  std::vector<std::string> modules_to_save;
  std::string base_model_name_or_path;

  // LoRA, LoHa, LoKr, HiRA, LoRA-XS, TinyLoRA; of OFT with `oft.block_size` 0 the number of blocks, otherwise 0 or this
  // default.
  std::int64_t r = 8;
  PatternTable rank_pattern;  // not of TinyLoRA

  // LoRA, LoHa, LoKr, LoRA-XS.
  double lora_alpha = 8;  // `alpha` in the files of LoHa and LoKr
  PatternTable alpha_pattern;

  // All but IA3 and norm tuning.
  std::vector<std::int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;

  // LoRA, OFT, BOFT, FourierFT, VeRA, UniLoRA, TinyLoRA.
  TrainedBias bias = TrainedBias::kNone;
  /// The modules whose biases `bias` trains; none given: it does not restrict them. PEFT does not have it: a saved
  /// adapter contains all biases that `bias` selects, of which the others are the base's.
  ModulePattern bias_modules;

  // LoRA, LoRA-XS.
  double lora_dropout = 0;

  // LoRA.
  bool use_rslora = false;
  bool use_dora = false;
  /// Whether lora_B has a bias.
  bool lora_bias = false;
  LoraStart init_lora_weights = LoraStart::kDefault;

  // LoHa, LoKr.
  /// Convolutions larger than 1×1 are decomposed as tensors instead of as (out, in·kh·kw) matrices.
  bool use_effective_conv2d = false;

  // LoKr.
  bool decompose_both = false;
  std::int64_t decompose_factor = -1;

  // IA3.
  /// The target modules whose input is scaled instead of their output.
  ModulePattern feedforward_modules;

  // HiRA.
  double hira_dropout = 0;

  OftOptions oft;
  BoftOptions boft;
  FourierFtOptions fourierft;
  VeraOptions vera;
  UniLoraOptions unilora;
  TinyLoraOptions tinylora;

  /// Fields that are not interpreted, unchanged.
  Json other = Json::object();

  bool has_targets() const { return !std::holds_alternative<std::monostate>(target_modules); }
};

/// The divisor of alpha: the rank, or with use_rslora its square root.
double rank_divisor(const AdapterConfig& config, std::int64_t rank);

/// PEFT's target_modules of an adapter that consists of modules_to_save or biases alone (peft/utils/constants.py).
inline constexpr const char* kDummyTargets = "dummy-target-modules";

/// Parses the object in `adapter_config.json`. Error messages start with `where`. Throws Error, with the name, for an
/// unsupported method or option that would change the results.
AdapterConfig parse_adapter_config(const Json& json, const std::string& where);

/// Returns PEFT's object with sorted keys.
Json adapter_config_json(const AdapterConfig& config);

/// Throws UsageError for invalid (rank 0, dropout 1 …) or incompatible values.
void check_adapter_config(const AdapterConfig& config, const std::string& where);

}  // namespace lorikeet
