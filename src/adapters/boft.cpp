#include "adapters/boft.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "adapters/weight_adapter.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

struct Butterfly {
  std::int64_t factors = 0;
  std::int64_t count = 0;  // of blocks
  std::int64_t size = 0;   // of a block
};

Butterfly butterfly_of(const Node& node, const AdapterConfig& config) {
  const BoftOptions& boft = config.boft;
  const std::int64_t columns = weight_shape(node.op).columns();
  const bool is_by_size = boft.block_size > 0;
  const std::int64_t divisor = is_by_size ? boft.block_size : boft.block_num;
  const char* field = is_by_size ? "boft_block_size" : "boft_block_num";
  if (columns % divisor != 0) {
    fail_usage(field, ": got ", divisor, " for ", node.name, ", expected a divisor of ", columns,
               ", the numbers of one of its filters.");
  }
  const Butterfly out{boft.n_butterfly_factor, is_by_size ? columns / divisor : divisor,
                      is_by_size ? divisor : columns / divisor};
  const std::int64_t most = std::int64_t{1} << (out.factors - 1);  // by which the last factor joins blocks
  if (out.factors > 1 && (out.count % most != 0 || out.size % 2 != 0)) {
    fail_usage("boft_n_butterfly_factor: got ", out.factors, " for ", node.name, " with ", counted(out.count, "block"),
               " of ", out.size, ", expected a multiple of ", most, " blocks of an even size.");
  }
  return out;
}

// PEFT's block_butterfly_perm for the factor `index`: within each 2^index blocks, the even halves of blocks before the
// odd ones.
at::Tensor permutation(const Butterfly& butterfly, std::int64_t index) {
  const std::int64_t half = butterfly.size / 2, halves = std::int64_t{2} << index;
  const at::Tensor all = at::arange(butterfly.count * butterfly.size).view({-1, halves / 2, 2, half});
  return all.transpose(1, 2).reshape({-1});
}

class Boft final : public WeightAdapter {
 public:
  Boft(at::Tensor blocks, at::Tensor scale, const Butterfly& butterfly, double dropout)
      : blocks_(std::move(blocks)), scale_(std::move(scale)), dropout_(dropout) {
    for (std::int64_t i = 0; butterfly.factors > 1 && i < butterfly.factors; ++i) {
      permutations_.push_back(permutation(butterfly, i));
      inverses_.push_back(at::argsort(permutations_.back()));
    }
  }

  std::vector<Part> parts() override { return {{"boft_R", &blocks_}, {"boft_s", &scale_}}; }

  int kept_weights() const override { return 1 + static_cast<int>(blocks_.size(0)); }  // of each factor, and the scaled
  std::vector<at::Tensor*> fixed() override {
    std::vector<at::Tensor*> out;
    for (auto* indices : {&permutations_, &inverses_}) {
      for (at::Tensor& tensor : *indices) out.push_back(&tensor);
    }
    return out;
  }

  void seed_dropout(std::uint64_t seed) override {
    if (dropout_ == 0) return;
    if (!generator_.defined()) generator_ = at::detail::createCPUGenerator();
    generator_.set_current_seed(seed);
  }

 private:
  // (m, n, b, b)
  at::Tensor rotations() const {
    const at::Tensor S = 0.5 * (blocks_ - blocks_.transpose(2, 3));
    const at::Tensor I = at::eye(blocks_.size(3), blocks_.options().requires_grad(false));
    return at::linalg_solve(I + S, I - S, /*left=*/false);
  }

  // Of one factor, drawn at random, a share of the blocks becomes the identity.
  at::Tensor with_dropout(const at::Tensor& rotations) const {
    const std::int64_t factors = rotations.size(0), count = rotations.size(1);
    const auto dropped = static_cast<std::int64_t>(dropout_ * static_cast<double>(count));
    const auto chosen = at::randint(factors, {1}, generator_, at::kLong).item<std::int64_t>();
    at::Tensor mask = at::zeros({factors, count, 1, 1}, at::kBool);
    mask.select(0, chosen).index_fill_(0, at::randperm(count, generator_).slice(0, 0, dropped), 1);
    const at::Tensor I = at::eye(rotations.size(3), rotations.options().requires_grad(false));
    return at::where(mask.to(rotations.device()), I, rotations);
  }

  at::Tensor adapted(const at::Tensor& weight, bool training) const override {
    at::Tensor R = rotations();
    if (training && dropout_ > 0) R = with_dropout(R);
    at::Tensor W = weight.to(R.scalar_type()).flatten(1);  // (out, columns)
    for (std::int64_t i = 0; i < R.size(0); ++i) {
      const auto factor = static_cast<std::size_t>(i);
      if (!permutations_.empty()) W = W.index_select(1, inverses_[factor]);
      W = at::einsum("onk,nbk->onb", {W.view({W.size(0), R.size(1), R.size(2)}), R[i]}).flatten(1);
      if (!permutations_.empty()) W = W.index_select(1, permutations_[factor]);
    }
    return scaled_outputs(W, scale_).view(weight.sizes());
  }

  at::Tensor blocks_;
  at::Tensor scale_;
  std::vector<at::Tensor> permutations_;  // of the columns, one for each factor; none where there is one factor
  std::vector<at::Tensor> inverses_;
  double dropout_;
  at::Generator generator_;
};

}  // namespace

std::vector<AdapterTensor> boft_tensors(const Node& node, const AdapterTarget&, const AdapterConfig& config) {
  const Butterfly butterfly = butterfly_of(node, config);
  const std::int64_t out = weight_shape(node.op).out;
  const bool is_linear = std::holds_alternative<Linear>(node.op);
  return {{"boft_R", {butterfly.factors, butterfly.count, butterfly.size, butterfly.size}},
          {"boft_s", is_linear ? std::vector<std::int64_t>{out, 1} : std::vector<std::int64_t>{1, out}}};
}

std::unique_ptr<LayerAdapter> make_boft(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator&) {
  const auto tensors = boft_tensors(node, target, config);
  return std::make_unique<Boft>(at::zeros(tensors[0].shape), at::ones(tensors[1].shape), butterfly_of(node, config),
                                config.boft.dropout);
}

}  // namespace lorikeet
