#include "models/preprocessor_config.h"

#include <doctest/doctest.h>

#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

Preprocessing of_transformers(const std::string& text, const std::string& model_type = "vit") {
  std::vector<std::string> notes;
  return transformers_preprocessing(parse_json(text, "test"), model_type, notes);
}

Preprocessing of_timm(const std::string& text) {
  std::vector<std::string> notes;
  return timm_config_preprocessing(parse_json(text, "test"), notes);
}

constexpr std::array<double, 3> kHalves{0.5, 0.5, 0.5};

}  // namespace

// That the pixels are transformers' and timm's is checked in tests/reference/model_folders_test.py.
TEST_CASE("transformers' image processors as steps") {
  Preprocessing vit{.resize = 224, .crop = 224, .mean = kHalves, .std = kHalves};
  vit.squash = vit.crop_rounds_down = true;
  CHECK((of_transformers("{}") == vit));
  CHECK((of_transformers(R"({"size": 224, "feature_extractor_type": "ViTFeatureExtractor", "resample": 2})") == vit));
  CHECK((of_transformers(R"({"size": {"height": 224, "width": 224}, "image_processor_type": "ViTImageProcessorFast",
                             "do_rescale": true, "rescale_factor": 0.00392156862745098})") == vit));

  Preprocessing deit{
      .resize = 256, .crop = 224, .interpolation = Interpolation::kBicubic, .mean = kHalves, .std = kHalves};
  deit.squash = deit.crop_rounds_down = true;
  CHECK((of_transformers("{}", "deit") == deit));

  Preprocessing resnet{.resize = 256, .crop = 224, .interpolation = Interpolation::kBicubic};
  resnet.crop_rounds_down = true;
  const std::string imagenet = R"("image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225])";
  CHECK((of_transformers(R"({"crop_pct": 0.875, "size": 224, "resample": 3,
                             "feature_extractor_type": "ConvNextFeatureExtractor", )" +
                         imagenet + "}") == resnet));
  CHECK((of_transformers(
             R"({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, )" + imagenet + "}",
             "dinov2") == resnet));
  resnet.resize = resnet.crop = 384;
  resnet.squash = true;
  CHECK((of_transformers("{" + imagenet + "}", "convnext") == resnet));

  const Preprocessing mobilevit = of_transformers(R"({"size": {"shortest_edge": 288}})", "mobilevit");
  CHECK(mobilevit.bgr);
  CHECK((mobilevit.mean == std::array<double, 3>{0, 0, 0}));
  CHECK((mobilevit.std == std::array<double, 3>{1, 1, 1}));
  CHECK(mobilevit.resize == 288);
  CHECK(mobilevit.crop == 256);

  const Preprocessing scaled =
      of_transformers(R"({"rescale_factor": 0.00784313725490196, "image_mean": 1, "image_std": 1})");
  CHECK(scaled.mean[0] == doctest::Approx(0.5));
  CHECK(scaled.std[2] == doctest::Approx(0.5));
  CHECK(of_transformers(R"({"do_resize": false})").resize == 0);
}

TEST_CASE("timm's evaluation transform as steps") {
  const Preprocessing defaults{.resize = 256, .crop = 224, .interpolation = Interpolation::kBicubic};
  CHECK((of_timm("{}") == defaults));
  const Preprocessing own = of_timm(R"({"input_size": [3, 384, 384], "crop_pct": 1.0, "crop_mode": "squash",
    "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})");
  Preprocessing expected{.resize = 384, .crop = 384, .mean = kHalves, .std = kHalves};
  expected.squash = true;
  CHECK((own == expected));
  CHECK(of_timm(R"({"input_size": [3, 224, 224], "crop_pct": 0.9})").resize == 248);
  CHECK(of_timm(R"({"input_size": [3, 260, 260], "crop_pct": 0.89})").resize == 292);
  std::vector<std::string> notes;
  timm_config_preprocessing(parse_json(R"({"crop_mode": "border", "interpolation": "lanczos"})", "test"), notes);
  REQUIRE(notes.size() == 2);
  CHECK(notes[0] == has("crop_mode 'border'"));
}

TEST_CASE("preprocessing of another form is refused, with the key") {
  const auto transformers = [](const char* text) { return refusal([&] { of_transformers(text); }); };
  CHECK(transformers("[]") == has("got a list, expected an object"));
  CHECK(transformers(R"({"size": {"height": 224, "width": 192}})") == has("size: got {\"height\":224,\"width\":192}"));
  CHECK(transformers(R"({"size": 0})") == has("size: got 0, expected an integer from 1 to 4096"));
  CHECK(transformers(R"({"size": 1e9})") == has("size: got"));
  CHECK(transformers(R"({"size": {"longest_edge": 224}})") ==
        has("expected \"height\" and \"width\", or \"shortest_edge\""));
  CHECK(transformers(R"({"resample": 0})") == has("resample: got 0, expected 2 (bilinear) or 3 (bicubic)"));
  CHECK(transformers(R"({"image_std": [1, 0, 1]})") == has("image_std: got [1,0,1], expected three numbers above 0"));
  CHECK(transformers(R"({"image_mean": ["a"]})") == has("image_mean: got"));
  CHECK(transformers(R"({"do_resize": 1})") == has("do_resize: got 1, expected true or false"));
  CHECK(transformers(R"({"image_processor_type": "Other"})") ==
        has("image_processor_type: got 'Other', expected one of"));
  CHECK(transformers(R"({"image_processor_type": "ConvNextImageProcessor", "size": 224, "crop_pct": 0.001})") ==
        has("crop_pct: got a resize to 224000 pixels"));
  for (const char* crop : {"1e-300", "999999"}) {
    const std::string text =
        R"({"image_processor_type": "ConvNextImageProcessor", "size": 224, "crop_pct": )" + std::string(crop) + "}";
    CHECK(transformers(text.c_str()) == has("crop_pct: got a resize to"));
  }
  CHECK(transformers(R"({"image_mean": 1e30})") == has("image mean and std: got 1e+30 and 0.5"));
  CHECK(transformers(R"({"image_std": 1e-30})") == has("image mean and std: got 0.5 and 1e-30"));
  CHECK(transformers(R"({"rescale_factor": 1e-300})") == has("image mean and std: got"));
  CHECK(refusal([] { of_transformers("{}", "other"); }) == has("image_processor_type: got none"));
  const auto timm = [](const char* text) { return refusal([&] { of_timm(text); }); };
  CHECK(timm(R"({"input_size": [1, 28, 28]})") == has("input_size: got [1,28,28], expected [3, height, width]"));
  CHECK(timm(R"({"input_size": [3, 224, 192]})") == has("expected the same height and width"));
  CHECK(timm(R"({"crop_pct": -1})") == has("crop_pct: got -1, expected a number above 0"));
  CHECK(timm(R"({"crop_pct": 1e-9})") == has("crop_pct: got a resize to"));
}
