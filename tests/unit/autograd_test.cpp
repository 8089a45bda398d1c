// History: views and in-place writes, hooks, checkpoints, what is kept and what is freed.
#include <doctest/doctest.h>

#include <cmath>

#include "tallow/autograd.h"
#include "tallow/buffer.h"
#include "tallow/error.h"
#include "tallow/ops.h"

using namespace tallow;

namespace {

Tensor row(std::initializer_list<float> values) {
  std::vector<float> v(values);
  return Tensor::from(std::span<const float>(v), {static_cast<int64_t>(v.size())});
}

std::vector<float> grad_of(const Tensor& x) { return x.grad().to_vector(); }
using Floats = std::vector<float>;

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("in place: a view's write is part of its base's history") {
  Tensor w = row({2, 3}).requires_grad_();
  Tensor a = Tensor::zeros({4});
  Tensor view = a.narrow(0, 1, 2), other = a.narrow(0, 2, 2);
  view.copy_(w * w);
  CHECK(a.requires_grad());
  CHECK(other.requires_grad());
  CHECK(a.to_vector() == Floats{0, 4, 9, 0});
  sum(a * row({1, 10, 100, 1000})).backward();
  CHECK(grad_of(w) == Floats{2 * 2 * 10, 2 * 3 * 100});
  w.set_grad({});
  Tensor b = Tensor::zeros({4});
  Tensor shown = b.narrow(0, 2, 2);
  Tensor target = b.narrow(0, 1, 2);
  target.copy_(w * w);
  sum(shown * row({5, 7})).backward();  // a view that was made before the write
  CHECK(grad_of(w) == Floats{0, 2 * 3 * 5});
}

TEST_CASE("in place: the whole tensor's history changes, and its views follow") {
  Tensor w = row({2, 3}).requires_grad_();
  Tensor x = w * 1.0;
  Tensor first = x.narrow(0, 0, 1);
  in_place(x, "mul_", x * 3.0);
  sum(first).backward();
  CHECK(grad_of(w) == Floats{3, 0});
}

TEST_CASE("in place: what a gradient needs must not change") {
  Tensor w = row({2, 3}).requires_grad_();
  Tensor x = w * 1.0;
  Tensor y = x * x;
  in_place(x, "add_", x + 1.0);
  CHECK(contains(message_of([&] { sum(y).backward(); }), "changed in place"));
  Tensor z = w * 2.0;
  Tensor s = z + 1.0;  // its gradient reads no values
  in_place(z, "add_", z + 1.0);
  sum(s).backward();
  CHECK(grad_of(w) == Floats{2, 2});
}

TEST_CASE("in place: refused with a reason") {
  Tensor w = row({2, 3}).requires_grad_();
  CHECK(contains(message_of([&] { in_place(w, "add_", w + 1.0); }), "add_: f32 [2] is a leaf"));
  Tensor part = w.narrow(0, 0, 1);
  CHECK(contains(message_of([&] { in_place(part, "zero_", part * 0.0); }), "a view of a leaf"));
  {
    NoGrad no_grad;
    in_place(w, "add_", w + 1.0);
  }
  CHECK(w.to_vector() == Floats{3, 4});
  CHECK(w.requires_grad());
  CHECK(w.is_leaf());
  Tensor wide = row({1}).expand({4});
  CHECK(contains(message_of([&] { in_place(wide, "add_", wide + 1.0); }), "share memory"));
  Tensor ints = row({1}).to(DType::i32);
  CHECK(contains(message_of([&] { in_place(ints, "add_", ints + 0.5); }), "does not convert"));
  Tensor x = row({1});
  CHECK(contains(message_of([&] { in_place(x, "add_", x + row({1, 2})); }), "does not fit"));
}

TEST_CASE("in place: memory that nobody else sees is not copied") {
  Tensor x = row({1, 2});
  in_place(x, "add_", x + 1.0);
  CHECK(x.to_vector() == Floats{2, 3});
  CHECK(x.version() == 1);
  Tensor alias = x.detach();
  in_place(x, "add_", x + 1.0);
  CHECK(alias.to_vector() == Floats{3, 4});
  Tensor y = row({7, 8});
  x.copy_(y);
  in_place(x, "add_", x + 1.0);
  CHECK(y.to_vector() == Floats{7, 8});
}

TEST_CASE("hooks see and replace gradients") {
  Tensor w = row({2}).requires_grad_();
  Tensor y = w * w;
  int calls = 0;
  int64_t id = y.register_hook([&](const Tensor& g) {
    ++calls;
    return g * 10.0;
  });
  w.register_hook([&](const Tensor& g) {
    ++calls;
    return g + 1.0;
  });
  y.retain_grad();
  (y + y).backward(Tensor(), true);
  CHECK(calls == 2);
  CHECK(grad_of(w) == Floats{2 * 4 * 10 + 1});
  y.remove_hook(id);
  w.set_grad({});
  y.backward(Tensor());
  CHECK(grad_of(w) == Floats{5});
}

TEST_CASE("a checkpoint computes again what it did not keep") {
  Tensor w = row({0.5, 0.25}).requires_grad_();
  Tensor x = row({1, 2}).requires_grad_();
  int runs = 0;
  auto f = [&](const Tensors& in) {
    ++runs;
    return Tensors{exp(in[0] * w) * in[0]};
  };
  sum(f({x})[0]).backward();
  auto expected_w = grad_of(w), expected_x = grad_of(x);
  w.set_grad({});
  x.set_grad({});
  Tensor y = sum(checkpoint(f, {x})[0]);
  CHECK(runs == 2);
  y.backward();
  CHECK(runs == 3);
  CHECK(grad_of(w) == expected_w);
  CHECK(grad_of(x) == expected_x);
}

TEST_CASE("second derivatives flow through saved outputs") {
  Tensor x = row({0.5}).requires_grad_();
  Tensor y = exp(x);
  Tensor first = grad({y}, {x}, {}, {.create_graph = true})[0];
  Tensor second = grad({first}, {x})[0];
  CHECK(second.item() == doctest::Approx(std::exp(0.5)));
}

TEST_CASE("a graph is freed by its pass") {
  Tensor x = row({1, 2}).requires_grad_();
  Tensor y = sum(x * x);
  y.backward();
  CHECK(contains(message_of([&] { y.backward(); }), "freed by an earlier pass"));
  Tensor z = sum(x * x);
  z.backward(Tensor(), true);
  z.backward();
  CHECK(grad_of(x) == Floats{6, 12});
}

TEST_CASE("custom gradients join the graph") {
  Tensor x = row({3}).requires_grad_();
  Tensor doubled;
  {
    NoGrad no_grad;
    doubled = x * 2.0;
  }
  Tensor y = custom_gradient("double", {x}, {doubled},
                             [](const Tensors& g) { return Tensors{g[0] * 100.0}; })[0];
  (y * y).backward();
  CHECK(y.grad_fn() == "double");
  CHECK(grad_of(x) == Floats{2 * 6 * 100});
}

TEST_CASE("anomaly detection names the op") {
  Tensor x = row({-1}).requires_grad_();
  set_anomaly_detection(true);
  std::string message = message_of([&] { sqrt(x).backward(); });
  set_anomaly_detection(false);
  CHECK(contains(message, "backward of sqrt: returned nan"));
}

TEST_CASE("inference tensors are refused where a gradient would keep them") {
  Tensor x = row({2}).requires_grad_();
  Tensor y;
  {
    InferenceMode mode;
    y = row({3});
    CHECK(!(x * y).requires_grad());
  }
  CHECK(contains(message_of([&] { x* y; }), "inference tensor"));
}
