// What somebody else's program does with the library: names its version, sees its errors by type, asks a model.
//
//   consumer MODEL IMAGE
#include <lorikeet/lorikeet.h>
#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::printf("lorikeet %s, libtorch %s\n", lorikeet::version(), lorikeet::libtorch_version());
  try {
    lorikeet::load("resnet5O");
    return 3;
  } catch (const lorikeet::UsageError& error) {  // thrown in the shared library
    std::printf("refused: %s\n", error.what());
  }
  try {
    lorikeet::Model model = lorikeet::load(argv[1]);
    const auto found = model.predict({argv[2]}, 1).front().front();
    std::printf("index %lld of %zu\n", static_cast<long long>(found.index), model.classes().size());
    return 0;
  } catch (const lorikeet::Error& error) {
    std::printf("failed: %s\n", error.what());
    return 1;
  }
}
