// Adapters in one file, over small networks: adapters/adapter_file.h, loading/adapter_start.h.
#include "loading/adapter_start.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "adapters/adapter_file_header.h"
#include "adapters/methods.h"
#include "graph/small_graphs.h"
#include "io/deflate.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

const std::string kBaseSha = "0123456789abcdef" + std::string(48, '5');

AdapterMetadata some_metadata(std::vector<std::string> classes = {"0", "1", "2", "3", "4"}) {
  AdapterMetadata out{"small", "small.v1", kBaseSha, std::move(classes), {}};
  out.preprocessing.resize = out.preprocessing.crop = 28;
  return out;
}

// A trained adapter over a base.
struct Trained {
  Graph graph;
  NamedTensors weights;
  AdapterFolder folder;
};

Trained trained(Graph graph, AdapterSpec spec, double step = 0.05) {
  const at::NoGradGuard no_grad;
  NamedTensors weights = random_weights(graph, 5);
  Network network(adapt(graph, spec), weights, 1);
  at::Generator generator = seeded(11);
  for (const auto& [name, tensor] : network.trainable())
    tensor.add_(at::empty(tensor.sizes()).normal_(0, step, generator));
  SavedAdapter saved = network.saved_adapter();
  spec.config = saved.config;
  std::vector<std::string> classes;
  for (std::int64_t i = 0; i < output_features(network.graph()); ++i) classes.push_back(std::to_string(i));
  return {std::move(graph),
          std::move(weights),
          {.spec = spec, .metadata = some_metadata(classes), .tensors = copied(saved.tensors)}};
}

// Reads `bytes` as loading does.
AdapterFolder read_over(const std::string& bytes, const Graph& graph, const NamedTensors& weights) {
  AdapterFolder out = read_adapter_file(InputFile("x.lorikeet", std::as_bytes(std::span(bytes))));
  const Adaptation adaptation = adapt(graph, out.spec);
  decode_tensors(out, adaptation, "x.lorikeet");
  complete_tensors(out, start_tensors(adaptation, weights));
  check_adapter_tensors(out.tensors, adaptation, "x.lorikeet");
  return out;
}

AdapterSpec method_spec(const Method& method, const std::string& targets) {
  AdapterSpec spec;
  spec.config.peft_type = method.peft_type;
  spec.config.use_dora = method.use_dora;
  spec.config.r = 2;
  spec.config.oft.block_size = 4;
  spec.config.boft.block_size = 4;
  spec.config.fourierft.n_frequency = 9;
  spec.config.unilora.theta_d_length = 20;
  spec.config.target_modules = targets;
  return spec;
}

const Method& norm_tuning() {
  return *std::find_if(methods().begin(), methods().end(),
                       [](const Method& method) { return method.peft_type == PeftType::kLnTuning; });
}

std::string targets_of(const Method& method) {
  return method.adapts(Op(BatchNorm2d{4})) ? R"(layer1\.\d\.bn[12])" : R"(layer1\.\d\.conv[12])";
}

// Replaces what follows the magic number, and puts the checksum right.
std::string with_checksum(std::string bytes) {
  const std::uint32_t crc = crc32_of(std::string_view(bytes).substr(0, bytes.size() - 4));
  for (std::size_t i = 0; i < 4; ++i) bytes[bytes.size() - 4 + i] = static_cast<char>(crc >> (8 * i));
  return bytes;
}

std::string file_of(const std::string& header, const std::string& tensors = "") {
  const std::string small = deflate_text(header, header_dictionary());
  REQUIRE(small.size() < 0x80);
  return with_checksum("\x89LK\x01" + std::string(1, static_cast<char>(small.size())) + small + std::string(32, 'S') +
                       tensors + "sum!");
}

AdapterFolder read_bytes(const std::string& bytes) {
  return read_adapter_file(InputFile("x.lorikeet", std::as_bytes(std::span(bytes))));
}

}  // namespace

TEST_CASE("a file holds every method's adapter, bit by bit in float32") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    AdapterSpec spec = method_spec(method, targets_of(method));
    spec.config.modules_to_save = {"fc", "layer1.0.bn3"};
    spec.output_classes = 7;
    spec.head = Head{{6}, 3, Activation::kRelu};
    const Trained own = trained(small_resnet(), spec);
    const EncodedAdapter encoded = encode_adapter(own.folder, {own.graph, own.weights}, {});
    const AdapterFolder read = read_over(encoded.bytes, own.graph, own.weights);
    CHECK(adapter_config_json(read.spec.config).dump() == adapter_config_json(own.folder.spec.config).dump());
    CHECK(metadata_json(read.spec, *read.metadata).dump() ==
          metadata_json(own.folder.spec, *own.folder.metadata).dump());
    CHECK(read.tensors.size() == own.folder.tensors.size());
    for (const auto& [name, tensor] : own.folder.tensors) {
      CAPTURE(name);
      REQUIRE(read.tensors.contains(name));
      CHECK(at::equal(*read.tensors.find(name), tensor));
    }
    for (const StoredTensor& tensor : encoded.tensors) {
      // What a new network of the same adaptation has: statistics, and TinyLoRA's fixed tensors.
      bool is_start = tensor.name.find("running_") != std::string::npos;
      for (const char* suffix : {".tinylora_A", ".tinylora_B", ".tinylora_P"})
        is_start = is_start || tensor.name.ends_with(suffix);
      CHECK((tensor.coding.form == TensorForm::kStart) == is_start);
    }
  }
}

TEST_CASE("statistics that are not those of a new network are stored") {
  Trained own = trained(small_resnet(), method_spec(norm_tuning(), targets_of(norm_tuning())));
  const std::string name = "layer1.1.bn2.ln_tuning_layers.running_mean";
  own.folder.tensors.set(name, at::full({4}, 0.125));
  const EncodedAdapter encoded = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = 4});
  CHECK(at::equal(*read_over(encoded.bytes, own.graph, own.weights).tensors.find(name), at::full({4}, 0.125)));
}

TEST_CASE("fewer bits: the error is that of the precision, and of what training changed") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    const Trained own = trained(small_resnet(), method_spec(method, targets_of(method)), 0.01);
    const NamedTensors start = start_tensors(adapt(own.graph, own.folder.spec), own.weights);
    std::size_t before = encode_adapter(own.folder, {own.graph, own.weights}, {}).bytes.size();
    for (const auto& [bits, limit] : std::vector<std::pair<StoredBits, double>>{{16, 0.004}, {8, 0.01}, {4, 0.16}}) {
      CAPTURE(bits);
      const EncodedAdapter encoded = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = bits});
      // Few numbers: the scales weigh as much as the bits that they save.
      CHECK(encoded.bytes.size() < before + 8);
      before = encoded.bytes.size();
      const AdapterFolder read = read_over(encoded.bytes, own.graph, own.weights);
      for (const auto& [name, tensor] : own.folder.tensors) {
        CAPTURE(name);
        const at::Tensor* from = bits < 16 ? start.find(name) : nullptr;
        const at::Tensor zero = from != nullptr ? *from : at::zeros_like(tensor);
        if (!at::equal(tensor, zero)) CHECK(relative(*read.tensors.find(name) - zero, tensor - zero) < limit);
      }
    }
  }
}

TEST_CASE("a file in the precision of another holds the same tensors, in the same bytes") {
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    AdapterSpec spec = method_spec(method, targets_of(method));
    spec.config.modules_to_save = {"fc"};
    const Trained own = trained(small_resnet(), spec);
    for (const StoredBits bits : {32, 16, 8, 4, 3, 2}) {
      CAPTURE(bits);
      const std::string bytes = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = bits}).bytes;
      AdapterFolder read = read_over(bytes, own.graph, own.weights);
      const StoredPrecision same = same_precision(*read.file);
      const std::string again = encode_adapter(read, {own.graph, own.weights}, same).bytes;
      CHECK(again.size() <= bytes.size());  // levels that are all zero need not be stored
      if (bits >= 8) CHECK(again == bytes);
      const AdapterFolder twice = read_over(again, own.graph, own.weights);
      for (const auto& [name, tensor] : read.tensors) CHECK(at::equal(*twice.tensors.find(name), tensor));
      read.metadata->training = {{"test", {{"accuracy", 0.5}, {"total", 2}}}};
      forget_accuracies_before_rounding(read);
      CHECK(read.metadata->training.contains("test") == (bits == 32));
    }
  }
}

TEST_CASE("a file holds every small output, bit by bit in float32, and its dense weight for PEFT") {
  using Form = SmallOutput::Form;
  for (const SmallOutput& output : {SmallOutput{Form::kLowRank, 3},
                                    {Form::kProjected, 6, SmallOutput::Basis::kRandom, 5},
                                    {Form::kProjected, 4, SmallOutput::Basis::kOutput},
                                    {Form::kTied, 9, SmallOutput::Basis::kRandom, 7}}) {
    CAPTURE(small_output_json(output).dump());
    AdapterSpec spec = method_spec(methods().front(), R"(layer1\.2\.conv3)");
    spec.config.modules_to_save = {"fc"};
    spec.output_classes = 7;
    spec.small_output = output;
    const Trained own = trained(small_resnet(), spec);
    const TemporaryFolder folder;
    const auto path = folder.path / "a.lorikeet";
    write_adapter_file(path, own.folder, {own.graph, own.weights}, {});
    const AdapterFolder read = read_adapter_over(path, {own.graph, own.weights});
    CHECK((read.spec.small_output == output));
    CHECK(read.tensors.size() == own.folder.tensors.size());
    for (const auto& [name, tensor] : own.folder.tensors) {
      CAPTURE(name);
      REQUIRE(read.tensors.contains(name));
      CHECK(at::equal(*read.tensors.find(name), tensor));
    }
    Network network(adapt(own.graph, spec), own.weights, 3);
    network.load_adapter_tensors(own.folder.tensors);
    CHECK(at::equal(*read.for_peft.find("fc.weight"), *network.merged().find("fc.weight")));
  }
}

TEST_CASE("fewer bits: full modules, a BatchNorm among them, and biases come back; statistics exactly") {
  const at::NoGradGuard no_grad;
  for (const bool has_biases : {false, true}) {
    AdapterSpec spec = method_spec(methods().front(), R"(layer1\.2\.conv3)");
    spec.config.modules_to_save = {"fc", "layer1.0.bn3"};
    if (has_biases) spec.config.bias = TrainedBias::kAll;
    const Trained own = trained(small_resnet(), spec, 0.01);
    const NamedTensors start = start_tensors(adapt(own.graph, own.folder.spec), own.weights);
    for (const auto& [bits, limit] :
         std::vector<std::pair<StoredBits, double>>{{32, 0}, {16, 0.004}, {8, 0.01}, {4, 0.16}}) {
      CAPTURE(bits);
      const AdapterFolder read =
          read_over(encode_adapter(own.folder, {own.graph, own.weights}, {.bits = bits}).bytes, own.graph, own.weights);
      CHECK(read.tensors.size() == own.folder.tensors.size());
      for (const auto& [name, tensor] : own.folder.tensors) {
        CAPTURE(name);
        const at::Tensor* from = bits < 16 ? start.find(name) : nullptr;
        const at::Tensor zero = from != nullptr ? *from : at::zeros_like(tensor);
        const at::Tensor& found = *read.tensors.find(name);
        if (bits == 32 || name.find("running_") != std::string::npos) {
          CHECK(at::equal(found, tensor));
        } else {
          CHECK(relative(found - zero, tensor - zero) < limit);
        }
      }
      // The same as a folder.
      const TemporaryFolder folder;
      write_adapter_folder(folder.path / "a", read);
      const AdapterFolder again = read_adapter_folder(folder.path / "a");
      CHECK(again.tensors.size() == read.tensors.size());
      for (const auto& [name, tensor] : again.tensors) CHECK(at::equal(*read.tensors.find(name), tensor));
    }
  }
}

TEST_CASE("an adapter of ten classes costs few bytes beside its numbers") {
  AdapterSpec spec = method_spec(methods().front(), R"(layer1\.2\.conv3)");
  spec.config.modules_to_save = {"fc"};
  spec.output_classes = 10;
  Trained own = trained(small_resnet(), spec);
  own.folder.metadata->base_model = "resnet50";
  own.folder.metadata->base_weights = "resnet50.v1";
  own.folder.metadata->training = {{"data", "mnist"},
                                   {"images", 60000},
                                   {"seed", 3},
                                   {"trainable_parameters", 114},
                                   {"test", {{"accuracy", 0.96543210987}, {"total", 10000}, {"macro_f1", 0.9}}}};
  const EncodedAdapter encoded = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = 16});
  CHECK(encoded.header_bytes < 130);
  const AdapterFolder read = read_over(encoded.bytes, own.graph, own.weights);
  CHECK(read.metadata->training.dump() == R"({"data":"mnist","seed":3,"test":{"accuracy":0.965432,"total":10000}})");
  CHECK(read.file->bytes == encoded.bytes.size());
  CHECK(read.file->header_bytes == encoded.header_bytes);
}

TEST_CASE("a header keeps what lorikeet.json and adapter_config.json say") {
  AdapterSpec spec;
  spec.config.peft_type = PeftType::kLora;
  spec.config.target_modules = std::vector<std::string>{"layer1.0.conv1", "fc2"};
  spec.config.exclude_modules = std::string("fc");
  spec.config.rank_pattern = {{"b", 3}, {"a", 4}};
  spec.config.lora_alpha = 0.5;
  spec.config.other = {{"task_type", "IMAGE"}, {"loftq_config", Json::object()}, {"eva_config", nullptr}};
  AdapterMetadata metadata = some_metadata({"Vögel", "a \"b\""});
  metadata.precision = Precision::kBFloat16;
  metadata.preprocessing = {.resize = 40,
                            .crop = 32,
                            .interpolation = Interpolation::kBicubic,
                            .mean = {0.1, 0.2, 0.3},
                            .std = {1, 2, 3},
                            .squash = true,
                            .exif = Exif::kIgnore};
  AdapterSpec read;
  const AdapterMetadata after = parse_small_header(small_header(spec, metadata), kBaseSha, "x", read);
  CHECK(metadata_json(read, after).dump() == metadata_json(spec, metadata).dump());
  spec.config.other.erase("loftq_config");
  spec.config.other.erase("eva_config");
  CHECK(adapter_config_json(read.config).dump() == adapter_config_json(spec.config).dump());
  metadata.preprocessing = {};
  CHECK((parse_small_header(small_header(spec, metadata), kBaseSha, "x", read).preprocessing == Preprocessing{}));
}

TEST_CASE("the dictionary and the defaults are those of version 1") {
  // A change would give the files that exist another meaning: it needs another version.
  std::string defaults;
  for (const auto name :
       {"LORA", "LOHA", "LOKR", "IA3", "LN_TUNING", "HIRA", "OFT", "BOFT", "FOURIERFT", "VERA", "UNILORA"}) {
    AdapterSpec spec;
    const Json header = {{"base", {"a", "b"}}, {"preprocessing", Json::object()}, {"config", {{"peft_type", name}}}};
    const AdapterMetadata metadata = parse_small_header(header, kBaseSha, "x", spec);
    defaults += adapter_config_json(spec.config).dump() + metadata_json(spec, metadata).dump();
  }
  CHECK(crc32_of(header_dictionary()) == 0xa5259d34U);
  CHECK(crc32_of(defaults) == 121536976U);
}

TEST_CASE("activation ranges of int8 come back, in graph order or not") {
  Trained own = trained(small_resnet(), method_spec(methods().front(), targets_of(methods().front())));
  own.folder.metadata->precision = Precision::kInt8;
  own.folder.metadata->activation_ranges = {
      {"input", {-2.5F, 2.25F}}, {"layer1.0.bn1", {0, 1.1F}}, {"fc", {-0.3F, 77.7F}}, {"relu", {0, 0}}};
  const EncodedAdapter encoded = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = 8});
  const AdapterFolder read = read_over(encoded.bytes, own.graph, own.weights);
  CHECK((read.metadata->precision == Precision::kInt8));
  CHECK((read.metadata->activation_ranges == own.folder.metadata->activation_ranges));
}

TEST_CASE("a file is an adapter wherever its name leads, and is not overwritten by mistake") {
  const TemporaryFolder folder;
  const Trained own = trained(small_resnet(), method_spec(methods().front(), targets_of(methods().front())));
  const auto path = folder.path / "a.lorikeet", other = folder.path / "other.bin";
  CHECK_FALSE(is_adapter(path));
  write_adapter_file(path, own.folder, {own.graph, own.weights}, {.bits = 8});
  CHECK(is_adapter(path));
  CHECK(read_adapter(path).metadata->base_sha256 == kBaseSha);
  write_adapter_file(path, own.folder, {own.graph, own.weights}, {});
  std::filesystem::copy_file(path, other);
  CHECK(is_adapter(other));
  put(other, "something else");
  CHECK_FALSE(is_adapter(other));
  put(folder.path / "b.lorikeet", "something else");
  CHECK(is_adapter(folder.path / "b.lorikeet"));
  CHECK(refusal([&] { read_adapter(folder.path / "b.lorikeet"); }) == has("another format"));
  CHECK(refusal([&] { read_adapter(folder.path / "absent.lorikeet"); }) == has("absent.lorikeet: not found, expected"));
  for (const auto& name : {"other.bin", "b.lorikeet"}) {
    CHECK(refusal([&] {
            write_adapter_file(folder.path / name, own.folder, {own.graph, own.weights}, {});
          }) == has("not an adapter's"));
  }
  CHECK(refusal([&] { write_adapter_file(folder.path, own.folder, {own.graph, own.weights}, {}); }) == has("a folder"));
}

TEST_CASE("a file that is cut or changed anywhere is refused in one line") {
  AdapterSpec spec = method_spec(methods().front(), R"(layer1\.2\.conv3)");
  spec.head = Head{{}, 3};
  const Trained own = trained(small_resnet(), spec);
  const std::string bytes = encode_adapter(own.folder, {own.graph, own.weights}, {.bits = 8}).bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    CAPTURE(i);
    CHECK(refusal([&] { read_bytes(bytes.substr(0, i)); }) == has("x.lorikeet: got "));
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x41);
    CHECK(refusal([&] { read_bytes(changed); }) == has("x.lorikeet: got "));
    // With the checksum put right: an error in one line, or an adapter with finite values.
    for (const std::string& damaged : {with_checksum(changed), with_checksum(bytes.substr(0, i) + "sum!")}) {
      AdapterFolder read;
      const std::string message = refusal([&] { read = read_over(damaged, own.graph, own.weights); });
      if (message == "no error") {
        for (const auto& [name, tensor] : read.tensors) CHECK(at::isfinite(tensor).all().item<bool>());
      }
    }
  }
  CHECK(refusal([&] { read_over(with_checksum(bytes + "1234567890"), own.graph, own.weights); }) ==
        has("bytes after the last tensor"));
}

TEST_CASE("headers that say something impossible are refused by their field") {
  const auto message = [](const std::string& header) { return refusal([&] { read_bytes(file_of(header)); }); };
  const std::string good = R"("base":["a","b"],"classes":2,"preprocessing":{"resize":28})";
  CHECK(message("{" + good + "}") == "no error");
  CHECK(message("[]") == has("x.lorikeet: header: got a list, expected an object"));
  CHECK(message("{") == has("x.lorikeet: header"));
  CHECK(message(std::string(64, '[')) == has("x.lorikeet: header"));
  CHECK(message("{}") == has("base: got none"));
  CHECK(message(R"({"base":["a"]})") == has("base: got a list"));
  CHECK(message(R"({"base":["a",1]})") == has("base: weights: got the number 1"));
  CHECK(message(R"({"base":["a","b"],"classes":1000001})") == has("classes: got 1000001"));
  CHECK(message(R"({"base":["a","b"],"classes":0})") == has("classes: got 0"));
  CHECK(message(R"({"base":["a","b"],"classes":18446744073709551615})") == has("classes: got 18446744073709551615"));
  CHECK(message(R"({"base":["a","b"],"classes":[1]})") == has("classes: got the number 1"));
  CHECK(message(R"({"base":["a","b"],"preprocessing":[]})") == has("preprocessing: got a list"));
  CHECK(message(R"({"base":["a","b"],"preprocessing":{"resize":5000}})") == has("preprocessing: resize"));
  CHECK(message("{" + good + R"(,"head":{"hidden":[0],"classes":2,"activation":"none"}})") == has("head: hidden"));
  CHECK(message("{" + good + R"(,"config":{"r":0}})") == has("config: r: got 0"));
  CHECK(message("{" + good + R"(,"config":{"peft_type":"NEW"}})") == has("config: peft_type"));
  CHECK(message("{" + good + R"(,"config":[]})") == has("config: got a list"));
  CHECK(message("{" + good + R"(,"precision":"int3"})") == has("precision: got 'int3'"));
  std::string newer = file_of("{" + good + "}");
  newer[3] = 2;
  CHECK(refusal([&] { read_bytes(with_checksum(newer)); }) == has("got version 2, expected 1"));
}
