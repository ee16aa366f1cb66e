#include "loading/inference.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "engine/int8.h"
#include "loading/base_file.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("a loaded adapter runs in its own precision") {
  const TemporaryFolder folder;
  const auto file = folder.path / "w.safetensors";
  write_base(file, 1);
  at::Generator generator = seeded(2);
  const at::Tensor images = at::empty({2, 3, 32, 32}).normal_(0, 1, generator);

  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    const bool is_float32 = precision == Precision::kFloat32;
    CAPTURE(is_float32);
    const auto path = folder.path / (is_float32 ? "float32" : "bfloat16");
    write_adapter(path, file, precision);
    const LoadedModel model = load_model(path.string(), {}, {});
    CHECK((model.precision == precision));
    const auto type = is_float32 ? at::kFloat : at::kBFloat16;
    const at::Tensor expected = make_fused_executor(model.network, {.precision = type})->predict(images);
    CHECK(at::equal(make_inference_executor(model)->predict(images), expected));
  }

  // In int8 the weights that are rounded have the adapter in them.
  write_adapter(folder.path / "int8", file);
  const LoadedModel model = load_model((folder.path / "int8").string(), {}, {});
  const Network merged(model.network.graph(), model.network.merged());
  RangeMeter meter(merged, make_plan(merged));
  meter.add(images);
  const ActivationRanges ranges = meter.ranges();
  const at::Tensor expected = make_int8_executor(merged, {}, ranges)->predict(images);
  const auto executor =
      make_inference_executor(model.network, {.precision = Precision::kInt8, .activation_ranges = &ranges});
  CHECK(at::equal(executor->predict(images), expected));
  CHECK_FALSE(at::equal(make_inference_executor(model)->predict(images), expected));
}
