// Options of a new adapter. Fields that PEFT has keep PEFT 0.21's names, values and defaults (docs/adapters.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lorikeet {

/// Selects modules as PEFT does: a string is a regular expression that matches the full dotted name; a list holds full
/// names or suffixes of names ("conv3" also selects "layer1.0.conv3").
///
///   .target_modules = R"(layer4\..*\.conv[123])"
///   .target_modules = {"conv1", "conv2"}
class ModuleSelector {
 public:
  using Names = std::vector<std::string>;

  /// Selects no module.
  ModuleSelector() = default;
  ModuleSelector(const char* regex) : value_(std::string(regex)) {}
  ModuleSelector(std::string regex) : value_(std::move(regex)) {}
  ModuleSelector(std::initializer_list<std::string> names) : value_(Names(names)) {}
  ModuleSelector(Names names) : value_(std::move(names)) {}

  const std::variant<std::monostate, std::string, Names>& value() const { return value_; }

 private:
  std::variant<std::monostate, std::string, Names> value_;
};

/// Pairs of a regular expression, matched against the end of a module's name, and a value. The first match applies.
using PatternValues = std::vector<std::pair<std::string, double>>;

/// A new output whose weight is computed from fewer learned numbers (docs/adapters.md). Exactly one of the first three
/// is not 0.
struct SmallOutputOptions {
  /// W = B·A of this rank.
  std::int64_t rank = 0;
  /// W = V·P with V (classes, projected) learned and P fixed.
  std::int64_t projected = 0;
  /// Each element of W is one of this many numbers or its negative.
  std::int64_t tied = 0;
  /// Of P: "random", or "output", the leading right singular vectors of the base's own output.
  std::string basis = "random";
  /// Of what is random and fixed.
  std::int64_t seed = 0;
};

struct AdapterOptions {
  /// The method: "LORA", "LOHA", "LOKR", "IA3", "LN_TUNING", "HIRA", "OFT", "BOFT", "FOURIERFT", "VERA", "UNILORA",
  /// "LORA_XS" or "TINYLORA".
  std::string peft_type = "LORA";
  /// Or the name of a set of modules: "all-linear", "all-conv", or "auto", a selection for the network.
  ModuleSelector target_modules = {};
  ModuleSelector exclude_modules = {};
  /// Modules that are fully trained.
  std::vector<std::string> modules_to_save = {};

  // LORA, LOHA, LOKR, HIRA, VERA, UNILORA, LORA_XS, TINYLORA.
  /// The rank, 1 to 65,536. For OFT with oft_block_size 0: the number of blocks.
  std::int64_t r = 8;
  /// Not for VERA, UNILORA and TINYLORA.
  PatternValues rank_pattern = {};

  // LORA, LOHA, LOKR, LORA_XS.
  double lora_alpha = 8;
  PatternValues alpha_pattern = {};

  // All but IA3 and LN_TUNING.
  std::vector<std::int64_t> layers_to_transform = {};
  std::vector<std::string> layers_pattern = {};

  // LORA, OFT, BOFT, FOURIERFT, VERA, UNILORA, TINYLORA.
  /// Which biases of the base are trained: "none", "all", or those of the adapted layers: "lora_only", "oft_only",
  /// "boft_only", "fourier_only", "vera_only", "unilora_only" or "tinylora_only". "all" without target modules is
  /// BitFit.
  std::string bias = "none";

  // LORA, LORA_XS.
  double lora_dropout = 0;

  // LORA.
  bool use_dora = false;
  bool use_rslora = false;
  bool lora_bias = false;
  /// "default", "gaussian", "pissa", "olora" or "orthogonal".
  std::string init_lora_weights = "default";

  // LOHA, LOKR.
  bool use_effective_conv2d = false;

  // LOKR.
  bool decompose_both = false;
  std::int64_t decompose_factor = -1;

  // IA3.
  /// The target modules whose input is scaled instead of their output.
  ModuleSelector feedforward_modules = {};

  // HIRA.
  double hira_dropout = 0;

  // OFT.
  /// Columns of the weight per rotated block; 0: `r` blocks.
  std::int64_t oft_block_size = 32;
  bool block_share = false;
  bool coft = false;
  /// PEFT's `eps`, used with coft.
  double coft_eps = 6e-5;
  bool use_cayley_neumann = true;
  std::int64_t num_cayley_neumann_terms = 5;

  // BOFT. One of the first two must be 0.
  std::int64_t boft_block_size = 4;
  std::int64_t boft_block_num = 0;
  std::int64_t boft_n_butterfly_factor = 1;
  double boft_dropout = 0;

  // FOURIERFT.
  /// Learned numbers of each layer, 1 to 16,777,216 and at most the elements of its weight.
  std::int64_t n_frequency = 1000;
  /// Other numbers by a regular expression for the end of a module's name after a dot, or by its complete name.
  PatternValues n_frequency_pattern = {};
  /// PEFT's `scaling`.
  double fourierft_scaling = 150;
  std::int64_t random_loc_seed = 777;
  /// Whether the layers start unchanged; PEFT's `init_weights`, whose default is false.
  bool fourierft_init_weights = true;

  // VERA.
  std::int64_t projection_prng_key = 0;
  /// VERA, TINYLORA: whether the file contains the fixed random matrices, which the seed gives again. By default that
  /// of TINYLORA does, as in PEFT, and that of VERA does not.
  std::optional<bool> save_projection = std::nullopt;
  double vera_dropout = 0;
  double d_initial = 0.1;

  // UNILORA.
  /// Learned numbers of the complete adapter, 1 to 16,777,216.
  std::int64_t theta_d_length = 256;
  std::int64_t proj_seed = 42;
  bool save_indices = false;
  /// The numbers start uniform in [-bound, bound]: the layers start slightly changed, as in PEFT.
  double init_theta_d_bound = 0.02;
  double unilora_dropout = 0;

  // TINYLORA.
  /// Numbers in each learned vector.
  std::int64_t u = 64;
  /// From 0, a vector for each layer, to 1, one for all.
  double weight_tying = 0;
  /// Seed of the fixed projections.
  std::int64_t projection_seed = 42;
  double tinylora_dropout = 0;
  /// Whether the vectors start uniform in [−init_v_bound, init_v_bound] instead of zero.
  bool tinylora_starts_uniform = false;
  double init_v_bound = 0.02;

  // Options that PEFT does not have.
  /// Replaces the last Linear of the network with a newly initialised one, with one output per class. Requires its name
  /// in modules_to_save.
  bool replace_output = false;
  /// With replace_output: computes the new output's weight from fewer learned numbers.
  std::optional<SmallOutputOptions> small_output = std::nullopt;
  /// Adds a head after the network. The values are the widths of its hidden Linear layers; an empty vector adds a
  /// single Linear layer.
  std::optional<std::vector<std::int64_t>> head = std::nullopt;
  /// Puts ReLU between the layers of the head.
  bool head_relu = false;
  /// Class names, one per output and in that order: non-empty and unique.
  std::vector<std::string> classes = {};
  /// Initial values: the folder or file of an adapter, or the folder of a run, with the same shapes. Empty: random
  /// initialisation.
  std::filesystem::path start_from = {};
  /// Seed of the random initialisation.
  std::uint64_t seed = 0;
};

}  // namespace lorikeet
