// Preprocesses images as the folder of a model says, for tests/reference/model_folders_test.py:
// preprocess_images FOLDER OUT.safetensors IMAGE… writes "0", "1" … float32 (3, H, W), and prints the steps.
#include <cstdio>
#include <iostream>

#include "adapters/adapter_folder.h"
#include "base/json.h"
#include "image/decode.h"
#include "image/transform.h"
#include "io/safetensors.h"
#include "loading/base_source.h"
#include "lorikeet/error.h"

int main(int argc, char** argv) {
  using namespace lorikeet;
  if (argc < 3) return 2;
  try {
    const BaseSource base = find_base(argv[1], {}, /*with_weights=*/false);
    NamedTensors out;
    for (int i = 3; i < argc; ++i) {
      const at::Tensor image = prepare(read_image(argv[i]), base.preprocessing);
      out.add(std::to_string(i - 3), normalise(image.unsqueeze(0), base.preprocessing)[0].contiguous());
    }
    write_safetensors(argv[2], out);
    const Json json{{"preprocessing", preprocessing_json(base.preprocessing)}, {"notes", base.notes}};
    std::printf("%s\n", json_text(json).c_str());
    return 0;
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
