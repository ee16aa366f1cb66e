#include "adapters/fourierft.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <numbers>

#include "adapters/low_rank_adapter.h"
#include "adapters/weight_adapter.h"
#include "base/error.h"
#include "base/torch_random.h"

namespace lorikeet {
namespace {

// A place of the spectrum: row u and column v.
struct Frequency {
  std::int64_t row = 0;
  std::int64_t column = 0;
};

std::vector<Frequency> frequencies_of(const WeightShape& shape, std::int64_t count, std::int64_t seed) {
  std::vector<Frequency> out;
  TorchRandom random(static_cast<std::uint64_t>(seed));
  for (const std::int64_t place : random.permutation(shape.out * shape.columns(), count))
    out.push_back({place / shape.columns(), place % shape.columns()});
  return out;
}

// cos or sin of 2π · frequency · position / size, (frequencies, size).
at::Tensor waves(const std::vector<std::int64_t>& frequencies, std::int64_t size, bool is_sine) {
  const at::Tensor phases = at::tensor(frequencies).unsqueeze(1) * at::arange(size) % size;
  const at::Tensor angles = phases.to(at::kDouble) * (2 * std::numbers::pi / static_cast<double>(size));
  return is_sine ? at::sin(angles) : at::cos(angles);
}

// Whether the factors need fewer operations than the weight itself, in the layer and for the gradient.
bool are_few(const WeightShape& shape, std::int64_t frequencies) {
  return 2 * frequencies * (shape.out + shape.columns()) <= shape.out * shape.columns();
}

// Few frequencies: cos(a + b) = cos a · cos b − sin a · sin b makes ΔW a product of rank 2 · n_frequency.
class FewFrequencies final : public LowRankAdapter {
 public:
  FewFrequencies(const Op& op, const std::vector<Frequency>& frequencies, double scaling, at::Tensor spectrum)
      : LowRankAdapter(op, /*scaling=*/1, /*dropout=*/0), spectrum_(std::move(spectrum)) {
    const WeightShape shape = weight_shape(op);
    std::vector<std::int64_t> rows, columns;
    for (const Frequency& frequency : frequencies) {
      rows.push_back(frequency.row);
      columns.push_back(frequency.column);
    }
    A_ = at::cat({waves(columns, shape.columns(), false), waves(columns, shape.columns(), true)}).to(at::kFloat);
    const double scale = scaling / static_cast<double>(shape.out * shape.columns());
    B_ = (at::cat({waves(rows, shape.out, false), -waves(rows, shape.out, true)}) * scale)
             .t()
             .to(at::kFloat)
             .contiguous();
  }

  std::vector<Part> parts() override { return {{"fourierft_spectrum", &spectrum_}}; }
  std::vector<at::Tensor*> fixed() override { return {&A_, &B_}; }

 private:
  Factors factors() const override { return {A_.to(spectrum_.scalar_type()), B_ * spectrum_.repeat({2})}; }

  at::Tensor spectrum_;
  at::Tensor A_;  // (2n, columns)
  at::Tensor B_;  // (out, 2n)
};

class ManyFrequencies final : public WeightAdapter {
 public:
  // The real part of the transform is the transform of the spectrum's Hermitian part: half of c[k] at (u, v), the other
  // at (−u, −v). Of that, the columns up to columns / 2 are stored.
  ManyFrequencies(const WeightShape& shape, const std::vector<Frequency>& frequencies, double scaling,
                  at::Tensor spectrum)
      : out_(shape.out), columns_(shape.columns()), stored_(columns_ / 2 + 1), scaling_(scaling),
        spectrum_(std::move(spectrum)) {
    std::vector<std::int64_t> places, sources;
    const auto put = [&](std::size_t source, std::int64_t row, std::int64_t column) {
      if (column >= stored_) return;
      sources.push_back(static_cast<std::int64_t>(source));
      places.push_back(2 * (row * stored_ + column));  // of the real part
    };
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      const auto [row, column] = frequencies[i];
      put(i, row, column);
      put(i, (out_ - row) % out_, (columns_ - column) % columns_);
    }
    places_ = at::tensor(places);
    sources_ = at::tensor(sources);
  }

  std::vector<Part> parts() override { return {{"fourierft_spectrum", &spectrum_}}; }
  int kept_weights() const override { return 2; }  // the sum, and the spectrum or its gradient during a transform
  std::vector<at::Tensor*> fixed() override { return {&places_, &sources_}; }

 private:
  at::Tensor delta_weight() const {
    const at::Tensor halves = at::zeros({out_ * stored_ * 2}, spectrum_.options().requires_grad(false))
                                  .index_add(0, places_, spectrum_.index_select(0, sources_) * (scaling_ / 2));
    return at::fft_irfft2(at::view_as_complex(halves.view({out_, stored_, 2})), at::IntArrayRef{out_, columns_});
  }

  at::Tensor adapted(const at::Tensor& weight, bool) const override {
    return weight + delta_weight().view(weight.sizes()).to(weight.scalar_type());
  }

  std::int64_t out_;
  std::int64_t columns_;
  std::int64_t stored_;
  double scaling_;
  at::Tensor spectrum_;
  at::Tensor places_;
  at::Tensor sources_;
};

}  // namespace

std::vector<AdapterTensor> fourierft_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig&) {
  const WeightShape shape = weight_shape(node.op);
  const std::int64_t elements = shape.out * shape.columns();
  if (target.rank > elements) {
    fail_usage("n_frequency: got ", target.rank, " for ", node.name, ", expected at most ", elements,
               ", the number of elements of its weight. Use n_frequency_pattern or exclude_modules.");
  }
  if (elements >= TorchRandom::kMaxPermutation) {
    fail_usage("target_modules: got ", node.name, " with ", elements, " weights, expected fewer than ",
               TorchRandom::kMaxPermutation, " for FourierFT.");
  }
  return {{"fourierft_spectrum", {target.rank}}};
}

std::unique_ptr<LayerAdapter> make_fourierft(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                             const AdapterConfig& config, at::Generator& generator) {
  const FourierFtOptions& options = config.fourierft;
  at::Tensor spectrum = at::zeros(fourierft_tensors(node, target, config).front().shape);
  if (!options.init_weights) spectrum.normal_(0, 1, generator);
  const WeightShape shape = weight_shape(node.op);
  const auto frequencies = frequencies_of(shape, target.rank, options.random_loc_seed);
  if (are_few(shape, target.rank))
    return std::make_unique<FewFrequencies>(node.op, frequencies, options.scaling, std::move(spectrum));
  return std::make_unique<ManyFrequencies>(shape, frequencies, options.scaling, std::move(spectrum));
}

}  // namespace lorikeet
