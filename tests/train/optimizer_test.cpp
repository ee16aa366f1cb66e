// The optimizers against their papers' formulas in double precision, and the schedules against PyTorch 2.13.
#include "train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "refusal.h"

using namespace lorikeet;

namespace {

constexpr int kSteps = 5;
constexpr int kSizes[] = {19, 1};  // not a multiple of any vector's width

// Another gradient for every parameter, element and step, of both signs.
double gradient(int parameter, int element, int step) {
  return std::sin(1.7 * element + 2.3 * step + parameter) * (1 + parameter);
}
double start(int parameter, int element) { return std::cos(0.9 * element + parameter); }
double rate(int step) { return 0.1 / (1 + step); }  // a schedule

// One element's value after each step, given its gradients.
using Formula = std::function<double(double value, double gradient, int step)>;

// Checks `kSteps` steps against a new formula for each element. `scale` is the factor by which clipping scales a step's
// gradients.
void check_steps(const OptimizerOptions& options, const std::function<Formula()>& formula,
                 const std::function<double(int)>& scale = {}) {
  std::vector<at::Tensor> parameters;
  std::vector<std::vector<double>> expected;
  std::vector<std::vector<Formula>> formulas;
  for (int p = 0; p < 2; ++p) {
    parameters.push_back(at::empty({kSizes[p]}, at::kDouble));
    expected.emplace_back();
    formulas.emplace_back();
    for (int i = 0; i < kSizes[p]; ++i) {
      expected[p].push_back(start(p, i));
      formulas[p].push_back(formula());
      parameters[p][i] = start(p, i);
    }
    parameters[p].set_requires_grad(true);
  }
  Optimizer optimizer(parameters, options);
  for (int step = 0; step < kSteps; ++step) {
    for (int p = 0; p < 2; ++p) {
      at::Tensor grad = at::empty({kSizes[p]}, at::kDouble);
      for (int i = 0; i < kSizes[p]; ++i) grad[i] = gradient(p, i, step);
      parameters[p].mutable_grad() = grad;
    }
    optimizer.step(rate(step));
    for (int p = 0; p < 2; ++p) {
      CHECK_FALSE(parameters[p].grad().defined());
      for (int i = 0; i < kSizes[p]; ++i) {
        expected[p][i] = formulas[p][i](expected[p][i], gradient(p, i, step) * (scale ? scale(step) : 1), step);
        CAPTURE(step);
        CAPTURE(i);
        CHECK(parameters[p][i].item<double>() == doctest::Approx(expected[p][i]).epsilon(1e-7));
      }
    }
  }
}

double norm(int step) {
  double squares = 0;
  for (int p = 0; p < 2; ++p) {
    for (int i = 0; i < kSizes[p]; ++i) squares += gradient(p, i, step) * gradient(p, i, step);
  }
  return std::sqrt(squares);
}

// Loshchilov and Hutter's Algorithm 2 with a schedule.
Formula adamw(double beta1, double beta2, double eps, double decay) {
  return [=, m = 0.0, v = 0.0](double value, double g, int step) mutable {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, step + 1));
    const double v_hat = v / (1 - std::pow(beta2, step + 1));
    return value - rate(step) * decay * value - rate(step) * m_hat / (std::sqrt(v_hat) + eps);
  };
}

// torch.optim.SGD: the decay goes into the gradient, the first step's momentum is the gradient itself.
Formula sgd(double momentum, bool nesterov, double decay) {
  return [=, velocity = 0.0](double value, double g, int step) mutable {
    g += decay * value;
    velocity = step == 0 ? g : momentum * velocity + g;
    return value - rate(step) * (nesterov ? g + momentum * velocity : velocity);
  };
}

OptimizerOptions sgd_options(double momentum, bool nesterov, double decay) {
  OptimizerOptions options;
  options.kind = OptimizerKind::kSgd;
  options.momentum = momentum;
  options.nesterov = nesterov;
  options.weight_decay = decay;
  return options;
}

// The learning rates of all steps.
std::vector<double> rates(ScheduleKind schedule, double warmup, int total) {
  OptimizerOptions options;
  options.schedule = schedule;
  options.warmup = warmup;
  options.learning_rate = 0.5;
  std::vector<double> out;
  for (int step = 0; step < total; ++step) out.push_back(scheduled_learning_rate(options, step, total));
  return out;
}

void check_rates(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("AdamW takes the paper's steps") {
  OptimizerOptions options;
  options.weight_decay = 0;
  check_steps(options, [] { return adamw(0.9, 0.999, 1e-8, 0); });
  options.weight_decay = 0.3;
  options.betas = {0.6, 0.8};
  options.eps = 0.05;
  check_steps(options, [] { return adamw(0.6, 0.8, 0.05, 0.3); });
}

TEST_CASE("SGD takes PyTorch's steps, with momentum, Nesterov's and weight decay") {
  check_steps(sgd_options(0, false, 0), [] { return sgd(0, false, 0); });
  check_steps(sgd_options(0, false, 0.2), [] { return sgd(0, false, 0.2); });
  check_steps(sgd_options(0.9, false, 0.2), [] { return sgd(0.9, false, 0.2); });
  check_steps(sgd_options(0.9, true, 0.2), [] { return sgd(0.9, true, 0.2); });
  CHECK(refusal<UsageError>([] { Optimizer({}, sgd_options(0, true, 0)); }) ==
        has("nesterov: got true with momentum 0"));
}

TEST_CASE("clipping scales all gradients by their common norm, as torch.nn.utils.clip_grad_norm_ does") {
  OptimizerOptions options = sgd_options(0, false, 0);
  options.clip_grad_norm = norm(0) * 0.999;  // some steps are above it, some are not
  bool some_above = false;
  bool some_below = false;
  for (int step = 0; step < kSteps; ++step) (norm(step) > options.clip_grad_norm ? some_above : some_below) = true;
  REQUIRE(some_above);
  REQUIRE(some_below);
  check_steps(
      options, [] { return sgd(0, false, 0); },
      [&](int step) { return std::min(1.0, options.clip_grad_norm / (norm(step) + 1e-6)); });

  at::Tensor parameter = at::zeros({2}, at::kFloat).set_requires_grad(true);
  options.clip_grad_norm = 1;
  Optimizer optimizer({parameter}, options);
  parameter.mutable_grad() = at::tensor({30.0f, 40.0f});
  CHECK(optimizer.step(0.1) == doctest::Approx(50));  // before clipping
  CHECK(parameter[1].item<double>() == doctest::Approx(-0.08));
  parameter.mutable_grad() = at::tensor({std::numeric_limits<float>::infinity(), 0.0f});
  CHECK(refusal([&] { optimizer.step(0.1); }) == has("training: got a gradient that is not finite"));
  CHECK(parameter[1].item<double>() == doctest::Approx(-0.08));
}

TEST_CASE("one_cycle is torch.optim.lr_scheduler.OneCycleLR") {
  check_rates(rates(ScheduleKind::kOneCycle, 0.3, 10),
              {0.020000000000000018, 0.26, 0.5, 0.47524231600673683, 0.40587282697488153, 0.30563101096814466,
               0.19437098903185537, 0.09412917302511849, 0.024759683993263143, 2e-06});
  check_rates(rates(ScheduleKind::kOneCycle, 0.25, 8), {0.020000000000000018, 0.5, 0.4665064849207059, 0.3750005,
                                                        0.250001, 0.12500150000000004, 0.03349551507929411, 2e-06});
  // A rise that would end before the first step.
  check_rates(rates(ScheduleKind::kOneCycle, 0.05, 10),
              {0.4965903394893772, 0.46986855832787106, 0.41932071562486367, 0.3504244544678177, 0.2706457537887377,
               0.18862987370028736, 0.11326450741755145, 0.05271666179141103, 0.013547635392083042, 2e-06});
  for (const int total : {1, 2, 3}) {  // short runs divide by nothing
    for (const double found : rates(ScheduleKind::kOneCycle, 0.5, total)) CHECK((found > 0 && found <= 0.5));
  }
}

TEST_CASE("cosine is torch.optim.lr_scheduler.CosineAnnealingLR, after a linear rise") {
  const std::vector<double> annealed{0.5, 0.45225424859373686, 0.32725424859373686, 0.17274575140626314,
                                     0.04774575140626316};
  check_rates(rates(ScheduleKind::kCosine, 0, 5), annealed);
  std::vector<double> expected{0.1, 0.2, 0.3, 0.4, 0.5};
  expected.insert(expected.end(), annealed.begin(), annealed.end());
  check_rates(rates(ScheduleKind::kCosine, 0.5, 10), expected);
  check_rates(rates(ScheduleKind::kCosine, 0.99, 1), {0.5});
}

TEST_CASE("constant stays, after a linear rise") {
  check_rates(rates(ScheduleKind::kConstant, 0, 3), {0.5, 0.5, 0.5});
  check_rates(rates(ScheduleKind::kConstant, 0.45, 5), {0.25, 0.5, 0.5, 0.5, 0.5});
}

TEST_CASE("a stage has the learning rates of a run that ends there") {
  for (const ScheduleKind schedule : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kOneCycle}) {
    OptimizerOptions options;
    options.schedule = schedule;
    options.warmup = 0.3;
    options.learning_rate = 0.5;
    options.stages = {4, 10, 30};
    std::vector<double> expected = rates(schedule, 0.3, 4);
    for (const int end : {10, 20}) {
      const std::vector<double> longer = rates(schedule, 0.3, end);
      expected.insert(expected.end(), longer.begin() + static_cast<std::ptrdiff_t>(expected.size()), longer.end());
    }
    std::vector<double> found;
    for (int step = 0; step < 20; ++step) found.push_back(scheduled_learning_rate(options, step, 20));
    check_rates(found, expected);
  }
}
