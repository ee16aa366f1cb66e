// Valid recipes; recipe_refusal_test.cpp has the invalid ones.
#include "train/recipe.h"

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <sstream>
#include <string>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

Recipe load(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  write_file(folder.path / "r.yaml", yaml);
  return load_recipe(folder.path / "r.yaml", overrides);
}

// Every key, none of them at its default but those that would exclude others.
const char* const kEverything = R"(model: efficientnet_lite0
weights: 'w: 1.pth'
data: "my photos"
start_from: runs/a
image_size: 28
preprocess: eval
exif: ignore
bad_images: skip
random_resized_crop: [0.35, 1]
random_crop_padding: 4
random_horizontal_flip: 0.5
rand_augment: [2, 9]
trivial_augment_wide: false
color_jitter: [0.4, 0.3, 0.2, 0.1]
random_erasing: 0.25
mixup_alpha: 0
cutmix_alpha: 0
train_limit: 100
test_limit: 50
validation: 0
validation_share: 0.25
test_share: 0
split_seed: 5
tune: adapter
peft_type: LORA
r: 4
lora_alpha: 12.5
lora_dropout: 0.1
target_modules: '.*\.conv_pw[l]?'
exclude_modules: [a.b, 'null', "", '#x']
modules_to_save: [classifier]
rank_pattern: {'layer4.*': 8, "a: b": 2}
alpha_pattern: {z: 0.1, a: -3}
layers_to_transform: [1, 3]
layers_pattern: [layer4]
use_rslora: true
use_dora: true
lora_bias: false
bias: all
init_lora_weights: gaussian
use_effective_conv2d: true
decompose_both: true
decompose_factor: 8
feedforward_modules: .*conv1
hira_dropout: 0.125
oft_block_size: 16
block_share: true
coft: true
coft_eps: 0.001
use_cayley_neumann: false
num_cayley_neumann_terms: 6
boft_block_size: 8
boft_block_num: 0
boft_n_butterfly_factor: 2
boft_dropout: 0.25
n_frequency: 50
n_frequency_pattern: {fc: 20}
fourierft_scaling: 30.5
random_loc_seed: 3
fourierft_init_weights: false
projection_prng_key: 4
save_projection: true
vera_dropout: 0.25
d_initial: 0.5
theta_d_length: 99
proj_seed: 5
save_indices: true
init_theta_d_bound: 0.75
unilora_dropout: 0.125
u: 13
weight_tying: 0.75
projection_seed: 9
tinylora_dropout: 0.125
tinylora_init: uniform
init_v_bound: 0.5
replace_output: true
head: [512, 256]
head_activation: relu
epochs: 3
time: 90s
max_steps: 7
batch_size: 32
optimizer: sgd
learning_rate: 0.30000000000000004
weight_decay: 1e-5
betas: [0.5, 0.75]
eps: 1e-7
momentum: 0.5
nesterov: true
schedule: one_cycle
warmup: 0.1
stages: [100, 300]
label_smoothing: 0.2
class_weights: [1, 0.5, 2]
sampling: uniform
clip_grad_norm: 1.5
best: macro_f1
early_stop: 2
seed: 9223372036854775807
shuffle: false
checkpoint_seconds: 12.5
device: cuda
precision: bfloat16
engine: plain
threads: 3
loader_threads: 5
cache_gib: 0.25
cache_disk_gib: 0.5
cache_views: 4
file_precision: int4
search: {peft_type: [HEAD, LORA_XS], head: [{projected: 8, basis: output}, new], target_modules: ['a.*', [b, c]]}
reference: {title: "T: 1", trainable: 1.2 M, accuracy: 0.97}
)";

}  // namespace

TEST_CASE("a short recipe is filled up with defaults") {
  const Recipe recipe = load("data: mnist\nhead: []\n");
  CHECK(recipe.model == "resnet50");
  CHECK(recipe.data.name == "mnist");
  CHECK(recipe.adapter.head->empty());
  CHECK_FALSE(recipe.adapter.config.has_targets());
  CHECK(recipe.adapter.config.r == 8);
  CHECK(recipe.loop.epochs == 1);
  CHECK(recipe.loop.batch_size == 64);
  CHECK(recipe.optimizer.kind == OptimizerKind::kAdamW);
  CHECK(recipe.optimizer.betas == std::array<double, 2>{0.9, 0.999});
  CHECK(recipe.optimizer.schedule == ScheduleKind::kConstant);
  CHECK(recipe.loop.shuffle);
  CHECK(recipe.run.empty());
}

TEST_CASE("a recipe for every model names no module") {
  const Recipe recipe = load("data: mnist\ntarget_modules: auto\nhead: new\n");
  CHECK(recipe.adapter.new_head);
  CHECK_FALSE(recipe.adapter.head.has_value());
  CHECK(recipe_yaml(recipe) == has("\nhead: new\n"));
  CHECK(recipe_yaml(load("data: mnist\ntune: norm\n")) == has("\ntune: norm\n"));
}

TEST_CASE("a time is a number with a unit, and lifts the default of one epoch") {
  const auto timed = [](const std::string& value) { return load("data: mnist\nhead: []\ntime: " + value + "\n").loop; };
  CHECK(timed("45").seconds == 45);
  CHECK(timed("10m").seconds == 600);
  CHECK(timed("1h30m").seconds == 5400);
  CHECK(timed("1.5h").seconds == 5400);
  CHECK(timed("null").seconds == 0);
  CHECK(timed("null").epochs == 1);
  CHECK(timed("10m").epochs == 1'000'000);
}

TEST_CASE("every key is read") {
  const Recipe r = load(kEverything);
  CHECK(r.model == "efficientnet_lite0");
  CHECK(r.weights == "w: 1.pth");
  CHECK(r.data.name == "my photos");
  CHECK(r.adapter.start_from == "runs/a");
  CHECK(r.data.image_size == 28);
  CHECK((r.data.exif == Exif::kIgnore));
  CHECK((r.data.bad_images == BadImages::kSkip));
  CHECK(r.data.augmentation == Augmentation{.resized_crop = {0.35, 1},
                                            .crop_padding = 4,
                                            .horizontal_flip = 0.5,
                                            .rand_augment = {2, 9},
                                            .color_jitter = {0.4, 0.3, 0.2, 0.1},
                                            .random_erasing = 0.25});
  const Augmentation mixing = load("data: d\nhead: []\nmixup_alpha: 0.2\ncutmix_alpha: 1\n").data.augmentation;
  CHECK(mixing == Augmentation{.mixup_alpha = 0.2, .cutmix_alpha = 1});
  CHECK(r.data.train_limit == 100);
  CHECK(r.data.test_limit == 50);
  CHECK(load("data: d\nhead: []\nvalidation: 10\n").data.validation == 10);
  CHECK(r.adapter.tune == Tuning::kAdapter);
  CHECK(r.data.validation_share == 0.25);
  CHECK(r.data.test_share == 0);
  CHECK(r.data.split_seed == 5);
  CHECK(r.adapter.config.r == 4);
  CHECK(r.adapter.config.lora_alpha == 12.5);
  CHECK(r.adapter.config.lora_dropout == 0.1);
  CHECK(std::get<std::string>(r.adapter.config.target_modules) == R"(.*\.conv_pw[l]?)");
  CHECK(std::get<std::vector<std::string>>(r.adapter.config.exclude_modules) ==
        std::vector<std::string>{"a.b", "null", "", "#x"});
  CHECK(r.adapter.config.modules_to_save == std::vector<std::string>{"classifier"});
  CHECK(r.adapter.config.rank_pattern == PatternTable{{"layer4.*", 8}, {"a: b", 2}});
  CHECK(r.adapter.config.alpha_pattern ==
        PatternTable{{"z", 0.1}, {"a", -3}});  // in the file's order: the first that matches counts
  CHECK(r.adapter.config.layers_to_transform == std::vector<std::int64_t>{1, 3});
  CHECK(r.adapter.config.layers_pattern == std::vector<std::string>{"layer4"});
  CHECK(r.adapter.config.use_rslora);
  CHECK(r.adapter.config.use_dora);
  CHECK((r.adapter.config.bias == TrainedBias::kAll));
  CHECK(r.adapter.config.use_effective_conv2d);
  CHECK(r.adapter.config.decompose_both);
  CHECK(r.adapter.config.decompose_factor == 8);
  CHECK(std::get<std::string>(r.adapter.config.feedforward_modules) == ".*conv1");
  CHECK(r.adapter.config.hira_dropout == 0.125);
  CHECK(r.adapter.config.oft.block_size == 16);
  CHECK(r.adapter.config.oft.block_share);
  CHECK(r.adapter.config.oft.coft);
  CHECK(r.adapter.config.oft.eps == 0.001);
  CHECK_FALSE(r.adapter.config.oft.use_cayley_neumann);
  CHECK(r.adapter.config.oft.num_cayley_neumann_terms == 6);
  CHECK(r.adapter.config.boft.block_size == 8);
  CHECK(r.adapter.config.boft.block_num == 0);
  CHECK(r.adapter.config.boft.n_butterfly_factor == 2);
  CHECK(r.adapter.config.boft.dropout == 0.25);
  CHECK((r.adapter.config.fourierft == FourierFtOptions{50, {{"fc", 20}}, 30.5, 3, false}));
  CHECK((r.adapter.config.vera == VeraOptions{4, true, 0.25, 0.5}));
  CHECK(r.adapter.config.tinylora.save_projection);
  for (const auto& [value, vera, tiny] :
       {std::tuple("null", false, true), {"false", false, false}, {"true", true, true}}) {
    const Recipe saves = load(cat("data: d\nhead: []\nsave_projection: ", value, "\n"));
    CHECK(saves.adapter.config.vera.save_projection == vera);
    CHECK(saves.adapter.config.tinylora.save_projection == tiny);
    CHECK(recipe_yaml(load(recipe_yaml(saves))) == recipe_yaml(saves));
    CHECK(recipe_yaml(saves) == has(cat("\nsave_projection: ", std::string(value) == "null" ? "~" : value, "\n")));
  }
  CHECK((r.adapter.config.unilora == UniLoraOptions{99, 5, true, 0.75, 0.125}));
  CHECK((load("data: mnist\npeft_type: LOKR\ntarget_modules: x\n").adapter.config.peft_type == PeftType::kLokr));
  CHECK(r.adapter.config.init_lora_weights == LoraStart::kGaussian);
  CHECK(r.adapter.replace_output);
  CHECK(r.adapter.head == std::vector<std::int64_t>{512, 256});
  CHECK(r.adapter.head_activation == Activation::kRelu);
  CHECK(r.loop.epochs == 3);
  CHECK(r.loop.max_steps == 7);
  CHECK(r.loop.batch_size == 32);
  CHECK(r.optimizer.kind == OptimizerKind::kSgd);
  CHECK(r.optimizer.learning_rate == 0.30000000000000004);
  CHECK(r.optimizer.weight_decay == 1e-5);
  CHECK(r.optimizer.betas == std::array<double, 2>{0.5, 0.75});
  CHECK(r.optimizer.eps == 1e-7);
  CHECK(r.optimizer.momentum == 0.5);
  CHECK(r.optimizer.nesterov);
  CHECK(r.optimizer.schedule == ScheduleKind::kOneCycle);
  CHECK(r.optimizer.warmup == 0.1);
  CHECK(r.loop.label_smoothing == 0.2);
  CHECK(r.loop.class_weights == ClassWeights{.values = {1, 0.5, 2}});
  CHECK((load("data: d\nhead: []\nsampling: balanced\n").loop.sampling == Sampling::kBalanced));
  CHECK(r.optimizer.clip_grad_norm == 1.5);
  CHECK(r.loop.best == BestEpoch::kMacroF1);
  CHECK(r.loop.seconds == 90);
  CHECK(r.loop.early_stop == 2);
  CHECK(r.loop.seed == 9223372036854775807);
  CHECK_FALSE(r.loop.shuffle);
  CHECK(r.loop.checkpoint_seconds == 12.5);
  CHECK(r.machine.device == Device::kCuda);
  CHECK(r.machine.precision == Precision::kBFloat16);
  CHECK(r.machine.threads == 3);
  CHECK(r.machine.loader_threads == 5);
  CHECK(r.machine.engine == EngineKind::kPlain);
  CHECK(r.machine.cache_gib == 0.25);
  CHECK(r.machine.cache_disk_gib == 0.5);
  CHECK(r.data.cache_views == 4);
  CHECK((r.file_precision == FilePrecision::kInt4));
  CHECK((r.optimizer.stages == std::vector<std::int64_t>{100, 300}));
  CHECK((r.search == std::vector<SearchedKey>{{"peft_type", {"HEAD", "LORA_XS"}},
                                              {"head", {"{projected: 8, basis: output}", "new"}},
                                              {"target_modules", {"a.*", "[b, c]"}}}));
  CHECK(r.reference.title == "T: 1");
  CHECK(r.reference.trainable == "1.2 M");
  CHECK(r.reference.accuracy == 0.97);
}

TEST_CASE("a recipe that is written reads back as the same") {
  // Every key that is written is in kEverything, and the other way round.
  const std::string everything = recipe_yaml(load(kEverything));
  const auto keys = [](const std::string& yaml) {
    std::vector<std::string> out;
    std::istringstream lines(yaml);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(' ')) out.push_back(line.substr(0, line.find(':')));
    }
    return out;
  };
  CHECK(keys(everything) == keys(kEverything));

  for (const std::string& yaml :
       {everything, std::string("data: mnist\nhead: []\n"), std::string("data: mnist\nhead: {rank: 3}\n"),
        std::string("data: mnist\nhead: {projected: 64, basis: output}\nreplace_output: true\n"),
        std::string("data: mnist\nhead: {tied: 300, seed: 5}\n"),
        std::string("data: 'null'\nmodules_to_save: ~\nhead: [3]\n"),
        std::string("data: \"a\\n\\tb'é\"\ntarget_modules: \"it's\\n\"\n"),
        std::string("data: 'true'\ntarget_modules: []\n"),
        std::string("data: d\nhead: []\ntrivial_augment_wide: true\nmixup_alpha: 0.2\ncutmix_alpha: 1\n"),
        std::string("data: d\nhead: []\nclass_weights: balanced\nsampling: balanced\n"),
        std::string("data: d\nhead: []\nlearning_rate: 1e-320\neps: 1e-30\nlora_alpha: 123456.789123\n"),
        std::string("data: d\ntarget_modules: '1'\nrank_pattern: {'': 1, '~': 2}\npreprocess: normalise\n")}) {
    CAPTURE(yaml);
    const std::string written = recipe_yaml(load(yaml));
    CHECK(recipe_yaml(load(written)) == written);
  }
  const Recipe awkward =
      load(recipe_yaml(load("data: \"a\\n\\tb'é\"\ntarget_modules: \"it's\\n\"\nweights: '~'\nlearning_rate: 0.1\n")));
  CHECK(awkward.data.name == "a\n\tb'é");
  CHECK(std::get<std::string>(awkward.adapter.config.target_modules) == "it's\n");
  CHECK(awkward.weights == "~");
  CHECK(awkward.optimizer.learning_rate == 0.1);
}

TEST_CASE("the run's folder is not part of what is written") {
  const Recipe a = load("data: mnist\nhead: []\nrun: here\n");
  const Recipe b = load("data: mnist\nhead: []\n", {"run=there"});
  CHECK(a.run == "here");
  CHECK(b.run == "there");
  CHECK(recipe_yaml(a) == recipe_yaml(b));
}

TEST_CASE("files and folders of a run's recipe have absolute paths, names stay") {
  const TemporaryFolder folder;
  write_file(folder.path / "photos/train/a/1.png", "");
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  Recipe recipe = load("data: ./photos/\nhead: []\nweights: missing.pth\nstart_from: photos\nrun: runs/a/\n");
  CHECK(recipe.run == "runs/a");
  recipe = with_absolute_paths(recipe);
  fs::current_path(before);
  CHECK(recipe.data.name == fs::canonical(folder.path / "photos"));
  CHECK(recipe.adapter.start_from == recipe.data.name);
  CHECK(recipe.weights == "missing.pth");
  CHECK(with_absolute_paths(load("data: mnist\nhead: []\n")).data.name == "mnist");
}

TEST_CASE("overrides replace what the file says, the last one counts") {
  const Recipe recipe =
      load(kEverything, {"epochs=5", "data=", "data=a=b", "head=[7]", "target_modules=", "rank_pattern={x: 1}",
                         "epochs=6", "weights=", "reference=", "exclude_modules=[conv1, 'b.c']"});
  CHECK(recipe.loop.epochs == 6);
  CHECK(recipe.data.name == "a=b");
  CHECK(recipe.adapter.head == std::vector<std::int64_t>{7});
  CHECK_FALSE(recipe.adapter.config.has_targets());
  CHECK(recipe.adapter.config.rank_pattern == PatternTable{{"x", 1}});
  CHECK(recipe.weights.empty());
  CHECK_FALSE(recipe.reference.accuracy);
  CHECK(std::get<std::vector<std::string>>(recipe.adapter.config.exclude_modules) ==
        std::vector<std::string>{"conv1", "b.c"});
}

TEST_CASE("what depends on other values is filled in and written down") {
  CHECK(load("data: d\nhead: []\nschedule: one_cycle\n").optimizer.warmup == 0.3);  // OneCycleLR's pct_start
  CHECK(recipe_yaml(load("data: d\nhead: []\nschedule: one_cycle\n")) == has("\nwarmup: 0.3\n"));
  CHECK(load("data: d\nhead: []\nschedule: cosine\n").optimizer.warmup == 0);

  const AdapterSpec spec = load(kEverything).adapter.spec(5);
  CHECK(spec.output_classes == 5);
  CHECK(spec.head->classes == 5);
  CHECK(spec.head->hidden == std::vector<std::int64_t>{512, 256});
  const AdapterSpec plain = load("data: d\ntarget_modules: x\n").adapter.spec(5);
  CHECK_FALSE(plain.output_classes);
  CHECK_FALSE(plain.head);

  const Preprocessing weights{.resize = 232, .crop = 224};
  CHECK(data_preprocessing(load("data: d\nhead: []\n").data, weights) == weights);
  CHECK(data_preprocessing(load("data: d\nhead: []\nimage_size: 28\n").data, weights) ==
        Preprocessing{.resize = 28, .crop = 28});
  CHECK(data_preprocessing(load("data: d\nhead: []\npreprocess: normalise\n").data, weights) == Preprocessing{});
}

TEST_CASE("the help names every key that a recipe has") {
  const std::string help = "\n" + recipe_help();
  std::istringstream lines(kEverything);
  for (std::string line; std::getline(lines, line);) CHECK(help == has("\n  " + line.substr(0, line.find(':')) + " "));
}
