#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <span>

#include "api/fixture.h"
#include "base/file.h"
#include "image/decode.h"
#include "loading/base_source.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// Rows of `stride` bytes, those after the pixels filled with 200.
std::vector<std::uint8_t> rgb_rows(const at::Tensor& image, std::int64_t stride) {
  const std::int64_t height = image.size(1), row = 3 * image.size(2);
  const at::Tensor pixels = image.permute({1, 2, 0}).contiguous();
  std::vector<std::uint8_t> out(static_cast<std::size_t>(height * stride), 200);
  for (std::int64_t y = 0; y < height; ++y)
    std::memcpy(out.data() + y * stride, pixels.const_data_ptr<std::uint8_t>() + y * row,
                static_cast<std::size_t>(row));
  return out;
}

}  // namespace

TEST_CASE("an image gives the same logits as a file, as encoded bytes and as pixels") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const auto expected = model.logits({fixture.image(0)});
  CHECK(expected.rows == 1);
  CHECK(expected.columns == 2);
  const std::string file = read_file(fixture.image(0), 1 << 20);
  CHECK(model.logits({EncodedImage{bytes_of(file)}}).values == expected.values);
  const at::Tensor image = read_image(fixture.image(0));
  const auto tight = rgb_rows(image, 96), padded = rgb_rows(image, 101);
  CHECK(model.logits({RgbImage{tight, 32, 32}}).values == expected.values);
  CHECK(model.logits({RgbImage{padded, 32, 32, 101}}).values == expected.values);
  // The last row need not be padded.
  CHECK(model.logits({RgbImage{std::span(padded).first(101 * 31 + 96), 32, 32, 101}}).values == expected.values);
  // A text is a path, too; and all kinds in one call.
  CHECK(model.logits({fixture.image(0).string(), EncodedImage{bytes_of(file)}, RgbImage{tight, 32, 32}}).rows == 3);
}

TEST_CASE("an image of a size that the network cannot take is refused by its name") {
  const TemporaryFolder folder;
  const fs::path vit = folder.path / "vit";
  write_file(vit / "config.json", R"({"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_labels": 2,
    "num_attention_heads": 2, "intermediate_size": 8, "image_size": 32, "patch_size": 8})");
  NamedTensors weights;
  for (const auto& parameter : find_base(vit.string(), {}, false).graph.parameters())
    weights.add(parameter.name, at::full(parameter.shape, 0.5));
  write_safetensors(vit / "model.safetensors", weights);
  Model model = load(vit.string());
  const std::vector<std::uint8_t> pixels(3 * 128 * 32, 100);
  const auto rows = [&](std::int64_t width, std::int64_t height) {
    const RgbImage image{std::span(pixels).first(static_cast<std::size_t>(3 * width * height)), width, height};
    return model.logits({image}, Preprocess::kNormalise).rows;
  };
  CHECK(rows(32, 32) == 1);
  CHECK(rows(48, 48) == 1);
  // As many patches as the network has, or a square number of them, in another grid.
  for (const auto& [width, height] : {std::pair(128, 8), std::pair(64, 16), std::pair(16, 64), std::pair(40, 16)})
    CHECK(refusal([&] { rows(width, height); }) == has("images[0]: image size: got"));
  CHECK(refusal([&] { rows(32, 4); }) == has("images[0]: image size: got 4 pixels"));
}

TEST_CASE("predict gives the most probable classes first") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const auto found = model.predict(fixture.test_images(), 2);
  REQUIRE(found.size() == 6);
  for (std::size_t i = 0; i < found.size(); ++i) {
    REQUIRE(found[i].size() == 2);
    CHECK(found[i][0].label == (i % 2 == 0 ? "red" : "blue"));
    CHECK(found[i][0].index == (i % 2 == 0 ? 1 : 0));
    CHECK(found[i][0].probability >= found[i][1].probability);
    CHECK(found[i][0].probability + found[i][1].probability == doctest::Approx(1));
  }
  CHECK(model.predict({}).empty());
  CHECK(model.logits({}).rows == 0);
}

TEST_CASE("predict refuses images") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const std::vector<std::uint8_t> pixels(300, 7);
  const auto refused = [&](const Image& image) { return refusal([&] { model.predict({fixture.image(0), image}); }); };
  CHECK(refused("/nonexistent.png") == has("/nonexistent.png: "));
  CHECK(refused(fixture.images()) == has("images"));
  CHECK(refused(EncodedImage{}) == has("images[1]: got an empty file"));
  CHECK(refused(EncodedImage{bytes_of("%PDF-1.7"), "upload 7"}) ==
        has("upload 7: got a PDF, expected a JPEG, PNG, WebP"));
  CHECK(refused(EncodedImage{bytes_of(read_file(fixture.image(1), 1 << 20)).first(99)}) == has("images[1]: "));
  CHECK(refused(RgbImage{}) == has("images[1]: got an image of 0 x 0 pixels"));
  CHECK(refused(RgbImage{pixels, -1, 10}) == has("images[1]: got an image of -1 x 10 pixels"));
  CHECK(refused(RgbImage{pixels, 10, 11}) == has("images[1]: got 300 bytes of pixels, expected 11 rows of 30 bytes"));
  CHECK(refused(RgbImage{pixels, 10, 10, 29}) == has("images[1]: got a stride of 29 bytes, expected 0 or at least 30"));
  CHECK(refused(RgbImage{pixels, 10, 10, -30}) == has("a stride of -30 bytes"));
  CHECK(refused(RgbImage{pixels, 10, 10, std::numeric_limits<std::int64_t>::max()}) == has("300 bytes of pixels"));
  CHECK(refused(RgbImage{pixels, 65'535, 65'535}) == has("pixels"));
  CHECK(model.predict({RgbImage{pixels, 10, 10}}).size() == 1);
}

TEST_CASE("top is from 1 to the number of classes") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  for (const std::size_t top : {std::size_t{0}, std::size_t{3}, std::numeric_limits<std::size_t>::max()}) {
    CHECK(refusal<UsageError>([&] { model.predict({fixture.image(0)}, top); }) == has("expected 1 to 2"));
    CHECK(refusal<UsageError>([&] { model.predictions({1, 2, {0, 1}}, top); }) == has("expected 1 to 2"));
  }
}

TEST_CASE("predictions takes logits of any origin, and refuses what are none") {
  const Model model = Fixture::get().trained();
  const auto found = model.predictions({2, 2, {0, std::log(3.F), 5, 5}}, 2);
  REQUIRE(found.size() == 2);
  CHECK(found[0][0].label == "red");
  CHECK(found[0][0].probability == doctest::Approx(0.75));
  CHECK(found[1][0].probability == doctest::Approx(0.5));
  CHECK(model.predictions({0, 2, {}}).empty());
  const auto refused = [&](const Logits& logits) { return refusal<UsageError>([&] { model.predictions(logits); }); };
  CHECK(refused({1, 2, {0}}) == has("logits: got 1 value for 1 row and 2 columns"));
  CHECK(refused({2, 2, {0, 0, 0}}) == has("logits: got 3 values"));
  CHECK(refused({0, 2, {1}}) == has("logits: got 1 value "));
  CHECK(refused({-1, -2, {0, 0}}) == has("logits: got 2 values for -1 rows"));
  CHECK(refused({1ll << 32, 1ll << 32, {}}) == has("logits: got 0 values"));
  CHECK(refused({1, 0, {}}) == has("columns"));
  CHECK(refused({1, 3, {0, 0, 0}}) == has("logits: got 3 columns, expected 2"));
  CHECK(refused({1, 2, {0, NAN}}) == has("logits: got nan in row 0"));
  CHECK(refused({2, 2, {0, 0, 0, INFINITY}}) == has("logits: got inf in row 1"));
}

TEST_CASE("save_logits writes one tensor, and refuses what has no shape") {
  const TemporaryFolder folder;
  save_logits({2, 3, {1, 2, 3, 4, 5, 6}}, folder.path / "logits.safetensors");
  const NamedTensors read = read_safetensors(folder.path / "logits.safetensors");
  REQUIRE(read.find("logits") != nullptr);
  CHECK(at::equal(*read.find("logits"), at::arange(1, 7, at::kFloat).reshape({2, 3})));
  CHECK(refusal<UsageError>([&] {
          save_logits({2, 3, {1}}, folder.path / "bad.safetensors");
        }) == has("logits: got 1 value "));
  CHECK_FALSE(fs::exists(folder.path / "bad.safetensors"));
  CHECK(refusal([&] { save_logits({1, 1, {1}}, "/proc/no/x.safetensors"); }) == has("/proc/no"));
}

TEST_CASE("evaluate counts by class") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const EvaluationResult found = model.evaluate(fixture.images().string());
  CHECK(found.total == 6);
  CHECK(found.correct == 6);
  CHECK(found.accuracy() == 1);
  CHECK(found.correct_by_class == (std::vector<std::int64_t>{3, 3}));
  CHECK(found.total_by_class == (std::vector<std::int64_t>{3, 3}));
  CHECK(found.loss > 0);
  CHECK(found.seconds > 0);
  CHECK(model.evaluate(fixture.images().string(), {.limit = 2}).total == 2);
  std::int64_t calls = 0;
  model.evaluate(fixture.images().string(), {.progress = [&](std::int64_t done, std::int64_t total) {
                   ++calls;
                   CHECK(done <= total);
                   CHECK(total == 6);
                   return false;
                 }});
  CHECK(calls == 1);
}

TEST_CASE("evaluate refuses") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const auto refused = [&](const std::string& data, const EvaluateOptions& options = {}) {
    return refusal([&] { model.evaluate(data, options); });
  };
  CHECK(refused("") == has("data: got nothing"));
  CHECK(refused("mnis") != "no error");
  CHECK(refused("/nonexistent/folder") == has("/nonexistent/folder"));
  CHECK(refused(fixture.images().string(), {.limit = -1}) == has("limit: got -1"));
  Model base = fixture.base();
  CHECK(refusal([&] { base.evaluate(fixture.images().string()); }) == has("expected"));
  struct Own {};
  CHECK_THROWS_AS(model.evaluate(fixture.images().string(), {.progress = [](auto, auto) -> bool { throw Own(); }}),
                  Own);
}

TEST_CASE("evaluate and train say what a folder lacks, and name all unreadable images first") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  const std::string data = folder.path.string();
  fs::create_directories(folder.path / "valid/red");
  fs::create_directories(folder.path / "test");
  fs::create_directories(folder.path / "train/unknown");
  fs::copy(fixture.image(0), folder.path / "train/unknown/0.png");
  fs::copy(fixture.image(0), folder.path / "valid/red/0.png");
  fs::copy(fixture.image(1), folder.path / "test/0.png");
  Model model = fixture.trained();
  std::vector<std::string> lines;
  const auto log = [&](const std::string& line) { lines.push_back(line); };
  CHECK(model.evaluate(data, {.log = log}).total == 1);  // train/ is not its concern
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == has("test: ignored, because it has no class folders"));
  CHECK(lines[1] == has("valid: no images of 1 class of 2: blue"));
  CHECK(lines[2] == has("has no test split; the validation images are used"));

  write_file(folder.path / "valid/red/1.png", "<html>");
  write_file(folder.path / "valid/red/2.png", "");
  std::string message = refusal([&] { model.evaluate(data); });
  CHECK(message == has("red/1.png: got HTML"));
  CHECK(message == has("red/2.png: got an empty file"));

  fs::remove_all(folder.path / "train");
  fs::copy(fixture.images() / "train", folder.path / "train", fs::copy_options::recursive);
  TrainingOptions options = fixture.training();
  options.data.name = data;
  message = refusal([&] { model.train(options); });
  CHECK(message == has("red/1.png: got HTML"));
  CHECK(message == has("red/2.png: got an empty file"));
  fs::remove(folder.path / "valid/red/1.png");
  fs::remove(folder.path / "valid/red/2.png");
  lines.clear();
  options.loop.epochs = 1;
  model.train(options, {.log = log});
  CHECK(lines.front() == has("test: ignored, because it has no class folders"));

  write_file(folder.path / "valid/red/1.png", "<html>");
  options.data.bad_images = BadImages::kSkip;
  model.train(options);
  lines.clear();
  int checks = 0;
  const auto check = [&](std::int64_t, std::int64_t total) {
    CHECK(total == 2);
    return ++checks > 0;
  };
  CHECK(model.evaluate(data, {.check_progress = check, .log = log}).total == 1);
  CHECK(checks > 0);
  CHECK(lines.back() == has("skipped 1 image that cannot be read: "));
  CHECK(refusal([&] { model.evaluate(data, {.check_progress = [](auto, auto) { return false; }}); }) ==
        has("the check of its images was stopped"));

  fs::remove_all(folder.path / "valid");
  CHECK(refusal([&] { model.evaluate(data); }) == has("expected one to evaluate on. " + data + "/test: ignored"));
}
