#include "kernels/attention.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <vector>

#include "kernels/head_attention.h"
#include "kernels/parallel.h"

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// (N, tokens, features) with rows of contiguous floats.
struct Rows {
  explicit Rows(const at::Tensor& tensor)
      : data(tensor.defined() ? tensor.const_data_ptr<float>() : nullptr),
        image(tensor.defined() ? tensor.stride(0) : 0), row(tensor.defined() ? tensor.stride(1) : 0) {}

  HeadRows head(std::int64_t n, std::int64_t first) const { return {data + n * image + first, row}; }
  MutableHeadRows mutable_head(std::int64_t n, std::int64_t first) const {
    return {data == nullptr ? nullptr : const_cast<float*>(data) + n * image + first, row};
  }

  const float* data;
  std::int64_t image, row;
};

// Queries, keys and values, or their gradients. Undefined where a gradient is not wanted.
using Three = std::array<at::Tensor, 3>;

Three thirds_of(const at::Tensor& x) {
  const std::int64_t features = x.size(2) / 3;
  return {x.narrow(2, 0, features), x.narrow(2, features, features), x.narrow(2, 2 * features, features)};
}

// Calls run(head, image, first feature, scratch memory) for every head of every image.
template <typename Run>
void for_each_head(const Three& x, std::int64_t heads, const Run& run) {
  const Rows q(x[0]), k(x[1]), v(x[2]);
  const std::int64_t width = x[0].size(2) / heads;
  parallel_for(x[0].size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / heads, first = i % heads * width;
      const AttentionHead head{q.head(n, first), k.head(n, first), v.head(n, first), x[0].size(1), x[1].size(1), width};
      scratch.resize(static_cast<std::size_t>(head_scratch(head)));
      run(head, n, first, scratch.data());
    }
  });
}

at::Tensor output_of(const Three& x, std::int64_t heads) {
  const at::Tensor y = at::empty(x[0].sizes(), x[0].options());
  const Rows out(y);
  for_each_head(x, heads, [&](const AttentionHead& head, std::int64_t n, std::int64_t first, float* scratch) {
    head_forward(head, out.mutable_head(n, first), scratch);
  });
  return y;
}

void fill_gradients(const Three& x, const at::Tensor& grad, const Three& gradients, std::int64_t heads) {
  const at::Tensor dense = grad.contiguous();
  const Rows out(dense), q(gradients[0]), k(gradients[1]), v(gradients[2]);
  for_each_head(x, heads, [&](const AttentionHead& head, std::int64_t n, std::int64_t first, float* scratch) {
    head_backward(head, out.head(n, first),
                  {q.mutable_head(n, first), k.mutable_head(n, first), v.mutable_head(n, first)}, scratch);
  });
}

// Of one tensor with all three; `query` < 0: all tokens.
struct JoinedAttention : torch::autograd::Function<JoinedAttention> {
  static Three parts(const at::Tensor& x, std::int64_t query) {
    Three out = thirds_of(x);
    if (query >= 0) out[0] = out[0].narrow(1, query, 1);
    return out;
  }

  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, std::int64_t heads, std::int64_t query) {
    context->save_for_backward({x});
    context->saved_data["heads"] = heads;
    context->saved_data["query"] = query;
    return output_of(parts(x, query), heads);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const at::Tensor x = context->get_saved_variables()[0];
    const std::int64_t query = context->saved_data["query"].toInt();
    at::Tensor out = at::empty(x.sizes(), x.options());
    if (query >= 0) thirds_of(out)[0].zero_();
    fill_gradients(parts(x, query), grads[0], parts(out, query), context->saved_data["heads"].toInt());
    return {out, at::Tensor(), at::Tensor()};
  }
};

struct SplitAttention : torch::autograd::Function<SplitAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            std::int64_t heads) {
    context->save_for_backward({q, k, v});
    context->saved_data["heads"] = heads;
    context->saved_data["wanted"] = std::vector<bool>{q.requires_grad(), k.requires_grad(), v.requires_grad()};
    return output_of({q, k, v}, heads);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const auto wanted = context->saved_data["wanted"].toBoolList();
    Three out;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (wanted[i]) out[i] = at::empty(saved[i].sizes(), saved[i].options());
    }
    fill_gradients({saved[0], saved[1], saved[2]}, grads[0], out, context->saved_data["heads"].toInt());
    return {out[0], out[1], out[2], at::Tensor()};
  }
};

}  // namespace

bool has_attention(const Attention& op, at::TensorList x) {
  return x[0].is_cpu() && x[0].scalar_type() == at::kFloat &&
         has_head_attention(op.features / op.heads, x.back().size(-2));
}

at::Tensor attention(const Attention& op, at::TensorList x, std::optional<std::int64_t> query) {
  std::vector<std::int64_t> shape = x[0].sizes().vec();
  shape.back() = op.features;
  if (query) shape[shape.size() - 2] = 1;
  const auto grouped = [](const at::Tensor& part) { return part.contiguous().flatten(0, -3); };
  if (x.size() == 1) return JoinedAttention::apply(grouped(x[0]), op.heads, query.value_or(-1)).view(shape);
  const at::Tensor q = query ? x[0].narrow(-2, *query, 1) : x[0];
  return SplitAttention::apply(grouped(q), grouped(x[1]), grouped(x[2]), op.heads).view(shape);
}

}  // namespace lorikeet
