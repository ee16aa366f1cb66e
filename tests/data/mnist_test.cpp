#include "data/mnist.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <string>

#include "data/idx_files.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

const std::vector<std::string> kThree{"zero", "one", "two"};

std::shared_ptr<const Dataset> read(const std::string& images, const std::string& labels,
                                    const std::vector<std::string>& classes = kThree) {
  const TemporaryFolder folder;
  write_file(folder.path / "images", images);
  write_file(folder.path / "labels", labels);
  return read_mnist(folder.path / "images", folder.path / "labels", classes);
}

std::string refused(const std::string& images, const std::string& labels) {
  return refusal([&] { read(images, labels); });
}

}  // namespace

TEST_CASE("MNIST's files are read, plain and gzipped, grey as three equal channels") {
  const std::string images = idx({2, 2, 3}, "abcdef\x01\x02\x03\xfd\xfe\xff");
  const std::string labels = idx({2}, std::string("\2\0", 2));
  for (const bool packed : {false, true}) {
    const auto dataset = packed ? read(gzip(images), gzip(labels)) : read(images, labels);
    CHECK(dataset->size() == 2);
    CHECK(dataset->classes() == kThree);
    CHECK(dataset->get(0).label == 2);
    const Sample second = dataset->get(1);
    CHECK(second.label == 0);
    const at::Tensor grey = at::tensor({1, 2, 3, 253, 254, 255}).to(at::kByte).reshape({1, 2, 3});
    CHECK(at::equal(second.image, grey.expand({3, 2, 3})));
    CHECK(dataset->describe(1) == has("images image 1"));
  }
}

TEST_CASE("MNIST's files that do not fit together are refused") {
  const std::string three = idx({3, 1, 1}, "abc");
  const std::string counts = refused(three, idx({2}, std::string("\0\1", 2)));
  CHECK(counts == has("labels: got 2 labels, expected 3, as many as the images in "));
  CHECK(refused(three, idx({3}, std::string("\0\2\3", 3))) == has("labels: got label 3 for image 2, expected 0 to 2."));
  CHECK(refused(idx({0, 28, 28}, ""), idx({0}, "")) == has("images: got no images"));
  CHECK(refused(idx({2, 0, 28}, ""), idx({2}, std::string("\0\1", 2))) == has("images: got no images"));
  CHECK(refused(idx({3}, "abc"), three) == has("images: got 1 dimension, expected 3"));  // the two files swapped
}
