#include "engine/prepared_base.h"

#include <bit>

#include "ops/op.h"

namespace lorikeet {
namespace {

using Key = std::vector<std::int64_t>;

void append(Key& key, const at::Tensor& tensor) {
  key.push_back(tensor.defined() ? reinterpret_cast<std::intptr_t>(tensor.const_data_ptr()) : 0);
  if (!tensor.defined()) return;
  key.push_back(tensor.dim());
  for (const at::IntArrayRef list : {tensor.sizes(), tensor.strides()}) key.insert(key.end(), list.begin(), list.end());
}

void append(Key& key, const NodeTensors& tensors) {
  key.push_back(static_cast<std::int64_t>(tensors.size()));
  for (const auto& [name, tensor] : tensors) append(key, tensor);
}

void append(Key& key, double value) { key.push_back(std::bit_cast<std::int64_t>(value)); }

// The inputs of a prepared convolution.
struct ConvSource {
  ConvSource(const Network& network, const FusedStep& step)
      : conv(conv_of(network.graph().node(step.first).op)), tensors{network.tensors(step.first)} {
    for (const Pair& pair : {conv.kernel, conv.stride, conv.padding, conv.dilation})
      key.insert(key.end(), pair.begin(), pair.end());
    key.insert(key.end(), {conv.groups, conv.same_padding ? 1 : 0});
    if (step.norm) {
      tensors.push_back(network.tensors(*step.norm));
      append(key, std::get<BatchNorm2d>(network.graph().node(*step.norm).op).eps);
    }
    if (step.layer_scale) tensors.push_back(network.tensors(*step.layer_scale));
    key.push_back(step.layer_scale ? 1 : 0);
    for (const NodeTensors& node : tensors) append(key, node);
  }

  at::Tensor weight() const { return tensors[0].weight().view({conv.out, -1, conv.kernel[0], conv.kernel[1]}); }

  Conv2d conv;
  std::vector<NodeTensors> tensors;
  Key key;
};

// Returns the entry's value, created if absent.
template <typename Entries, typename Make>
auto find_or_make(Entries& entries, Key key, std::vector<NodeTensors> sources, const Make& make) {
  auto& entry = entries[std::move(key)];
  if (!entry.value) {
    entry.value = make();
    entry.sources = std::move(sources);
  }
  return entry.value;
}

}  // namespace

std::shared_ptr<const PreparedConv> PreparedBase::conv(const Network& network, const FusedStep& step,
                                                       at::ScalarType precision) {
  ConvSource source(network, step);
  source.key.push_back(static_cast<std::int64_t>(precision));
  const at::Tensor weight = source.weight();
  const std::lock_guard lock(mutex_);
  return find_or_make(convs_, std::move(source.key), std::move(source.tensors), [&] {
    const at::Tensor scale = folded_scale(step, network);
    return std::shared_ptr<const PreparedConv>(
        new PreparedConv{folded_bias(step, network), scale, {source.conv, weight, scale, precision}});
  });
}

std::shared_ptr<const FrozenInt8Conv> PreparedBase::int8_conv(const Network& network, const FusedStep& step,
                                                              const Quantization& input) {
  ConvSource source(network, step);
  append(source.key, input.scale);
  source.key.push_back(input.zero);
  const std::lock_guard lock(mutex_);
  return find_or_make(int8_convs_, std::move(source.key), std::move(source.tensors), [&] {
    return std::make_shared<const FrozenInt8Conv>(source.conv, network.tensors(step.first).weight(),
                                                  folded_scale(step, network), input);
  });
}

std::shared_ptr<const FrozenInt8Linear> PreparedBase::int8_linear(const Network& network, const FusedStep& step) {
  ConvSource source(network, step);
  const std::lock_guard lock(mutex_);
  return find_or_make(int8_linears_, std::move(source.key), std::move(source.tensors), [&] {
    return std::make_shared<const FrozenInt8Linear>(network.tensors(step.first).weight(), folded_scale(step, network));
  });
}

std::shared_ptr<const NodeTensors> PreparedBase::tensors(const Network& network, NodeId id, at::ScalarType precision,
                                                         at::MemoryFormat layout) {
  const NodeTensors& own = network.tensors(id);
  const bool stays_float32 = has_float32_parameters(network.graph().node(id).op);
  Key key{static_cast<std::int64_t>(precision), static_cast<std::int64_t>(layout), stays_float32 ? 1 : 0};
  append(key, own);
  const std::lock_guard lock(mutex_);
  return find_or_make(tensors_, std::move(key), {own}, [&] {
    NodeTensors out = own;
    for (auto& [name, tensor] : out) {
      if (!stays_float32) tensor = tensor.to(precision);
      if (tensor.dim() == 4) tensor = tensor.contiguous(layout);
    }
    return std::make_shared<const NodeTensors>(out);
  });
}

void PreparedBase::release_unused() {
  const std::lock_guard lock(mutex_);
  const auto is_unused = [](const auto& entry) { return entry.second.value.use_count() == 1; };
  std::erase_if(convs_, is_unused);
  std::erase_if(int8_convs_, is_unused);
  std::erase_if(int8_linears_, is_unused);
  std::erase_if(tensors_, is_unused);
}

std::uint64_t PreparedBase::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t total = 0;
  for (const auto& [key, entry] : convs_) total += entry.value->conv.bytes();
  for (const auto& [key, entry] : int8_convs_) total += entry.value->bytes();
  for (const auto& [key, entry] : int8_linears_) total += entry.value->bytes();
  for (const auto& [key, entry] : tensors_) {
    for (const auto& [name, tensor] : *entry.value) {
      if (!tensor.is_alias_of(entry.sources[0][name])) total += tensor.nbytes();
    }
  }
  return total;
}

}  // namespace lorikeet
