// The options of a new adapter, and what is trained besides it. Names, values and defaults are PEFT 0.21's for the
// fields that PEFT has (docs/adapters.md).
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

/// Which modules a field means, as PEFT reads it: a text is a regular expression that matches the complete dotted name,
/// a list holds complete names and endings of names ("conv3" also means "layer1.0.conv3").
///
///   .target_modules = R"(layer4\..*\.conv[123])"
///   .target_modules = {"conv1", "conv2"}
class ModuleSelector {
 public:
  using Names = std::vector<std::string>;

  /// No module.
  ModuleSelector() = default;
  ModuleSelector(const char* regex) : value_(std::string(regex)) {}
  ModuleSelector(std::string regex) : value_(std::move(regex)) {}
  ModuleSelector(std::initializer_list<std::string> names) : value_(Names(names)) {}
  ModuleSelector(Names names) : value_(std::move(names)) {}

  const std::variant<std::monostate, std::string, Names>& value() const { return value_; }

 private:
  std::variant<std::monostate, std::string, Names> value_;
};

/// Regular expressions for the end of a module's name, each with a value; the first that matches counts.
using PatternValues = std::vector<std::pair<std::string, double>>;

struct AdapterOptions {
  /// The method: "LORA", "LOHA", "LOKR", "IA3", "LN_TUNING", "HIRA", "OFT" or "BOFT".
  std::string peft_type = "LORA";
  /// Or the name of a set of modules: "all-linear", "all-conv", or "auto", a choice for the network.
  ModuleSelector target_modules = {};
  ModuleSelector exclude_modules = {};
  /// Modules that are trained in full.
  std::vector<std::string> modules_to_save = {};

  // LORA, LOHA, LOKR, HIRA.
  /// The rank, 1 to 65,536; of OFT with oft_block_size 0 the number of blocks.
  std::int64_t r = 8;
  PatternValues rank_pattern = {};

  // LORA, LOHA, LOKR.
  double lora_alpha = 8;
  PatternValues alpha_pattern = {};

  // All but IA3 and LN_TUNING.
  std::vector<std::int64_t> layers_to_transform = {};
  std::vector<std::string> layers_pattern = {};

  // LORA, OFT, BOFT.
  /// Biases of the base that are learned too: "none", "all", or those of the adapted layers: "lora_only", "oft_only" or
  /// "boft_only". "all" without targets is BitFit.
  std::string bias = "none";

  // LORA.
  double lora_dropout = 0;
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
  /// Of the targets, those whose input is scaled instead of their output.
  ModuleSelector feedforward_modules = {};

  // HIRA.
  double hira_dropout = 0;

  // OFT.
  /// Columns of the weight that are rotated together; 0: `r` blocks.
  std::int64_t oft_block_size = 32;
  bool block_share = false;
  bool coft = false;
  /// PEFT's `eps`, with coft.
  double coft_eps = 6e-5;
  bool use_cayley_neumann = true;
  std::int64_t num_cayley_neumann_terms = 5;

  // BOFT. One of the first two is 0.
  std::int64_t boft_block_size = 4;
  std::int64_t boft_block_num = 0;
  std::int64_t boft_n_butterfly_factor = 1;
  double boft_dropout = 0;

  // What PEFT does not have.
  /// The network's last Linear gets one output for each class, and new weights; name it in modules_to_save.
  bool replace_output = false;
  /// Widths of the hidden Linear layers of a head after the network; empty: one Linear alone; absent: no head.
  std::optional<std::vector<std::int64_t>> head = std::nullopt;
  /// ReLU between the layers of the head.
  bool head_relu = false;
  /// Names of the classes in the order of the outputs: as many as there are outputs, none empty, none twice.
  std::vector<std::string> classes = {};
  /// An adapter's or a run's folder, of the same shape, whose values the new adapter starts with; empty: random ones.
  std::filesystem::path start_from = {};
  /// Of the random initial values.
  std::uint64_t seed = 0;
};

}  // namespace lorikeet
