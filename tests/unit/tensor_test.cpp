// Shapes, views, buffers and the messages of their errors. Values are compared with PyTorch in
// tests/python/test_ops.py.
#include <doctest/doctest.h>

#include <functional>

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

using namespace tallow;

namespace {

Tensor range(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return Tensor::from(std::span<const float>(values), shape);
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a view shares its elements") {
  Tensor x = range({4, 6});
  Tensor row = x.select(0, 2);
  CHECK(row.raw() == x.data<float>() + 12);
  row.data<float>()[1] = -1;
  CHECK(x.to_vector()[13] == -1);
  CHECK(x.transpose(0, 1).reshape({24}).to_vector()[1] == 6);
  CHECK(x.transpose(0, 1).raw() == x.raw());
}

TEST_CASE("view refuses what reshape copies") {
  Tensor t = range({4, 6}).transpose(0, 1);
  CHECK(t.reshape({24}).shape() == Shape{24});
  CHECK(message_of([&] { t.view({24}); }).find("use reshape") != std::string::npos);
}

TEST_CASE("errors name the op, the shapes and the remedy") {
  CHECK(message_of([] {
          add(range({2, 3}), range({4}));
        }) == "add: shapes [2, 3] and [4] do not broadcast: sizes 3 and 4 differ and neither is 1");
  CHECK(message_of([] {
          range({2, 3}).reshape({4});
        }) == "reshape: f32 [2, 3] has 6 elements, which do not fill [4]");
  CHECK(message_of([] { Tensor().shape(); }) == "tensor: used before it was given a value");
  CHECK(message_of([] { range({3}).narrow(0, 2, 2); }) ==
        "narrow: start 2 and length 2 are outside dimension 0 of f32 [3]");
  CHECK(message_of([] {
          Tensor::empty({int64_t{1} << 40, int64_t{1} << 40});
        }) == "tensor: [1099511627776, 1099511627776] of f32 has more than 2^63 bytes");
}

TEST_CASE("a block tensor may be narrowed by whole blocks only") {
  Tensor q = Tensor::zeros({4, 64}, DType::q8_0);
  CHECK(q.narrow(0, 1, 2).shape() == Shape{2, 64});
  CHECK(q.narrow(0, 1, 2).offset() == 68);
  CHECK(q.narrow(1, 32, 32).offset() == 34);
  CHECK(q.narrow(1, 32, 32).to(DType::f32).shape() == Shape{4, 32});
  CHECK(message_of([&] { q.narrow(1, 16, 32); }).find("call .to(f32) first") != std::string::npos);
  CHECK(message_of([&] { add(q, q); }) ==
        "add: q8_0 [4, 64] is of a block dtype; call .to(f32) first");
}

TEST_CASE("conversion keeps what the target can hold") {
  int64_t big = (int64_t{1} << 53) + 1;
  Tensor x = Tensor::from(std::span<const int64_t>(&big, 1), {1});
  CHECK(x.clone().data<int64_t>()[0] == big);
  CHECK(Tensor::scalar(2.9).to(DType::i32).item() == 2);
  CHECK(Tensor::scalar(-1).to(DType::boolean).item() == 1);
}

TEST_CASE("memory of freed tensors is used again") {
  void* first = nullptr;
  {
    Tensor x = Tensor::empty({1000});
    first = x.raw();
  }
  CHECK(Tensor::empty({1000}).raw() == first);
  int64_t before = pool_stats().in_use;
  { Tensor big = Tensor::empty({3 << 20}); }
  CHECK(pool_stats().in_use == before);
  trim_pool();
}

TEST_CASE("memory that cannot be had is an error") {
  CHECK(message_of([] { Tensor::empty({int64_t{1} << 58}); }).find("out of memory") == 0);
}

TEST_CASE("a gradient that was not asked for is not recorded") {
  Tensor x = range({3}).requires_grad_();
  {
    NoGrad no_grad;
    CHECK_FALSE((x * x).requires_grad());
  }
  CHECK((x * x).requires_grad());
  CHECK(message_of([&] {
          grad({sum(x)}, {range({1}).requires_grad_()});
        }).find("set allow_unused") != std::string::npos);
  CHECK(message_of([&] { (x * x).backward(); }).find("needs a gradient") != std::string::npos);
}

TEST_CASE("second derivatives come from create_graph") {
  Tensor x = Tensor::scalar(3).requires_grad_();
  Tensor first = grad({x * x * x}, {x}, {}, {.create_graph = true})[0];
  CHECK(first.item() == 27);
  CHECK(grad({first}, {x})[0].item() == 18);
}

TEST_CASE("a graph of a hundred thousand ops is differentiated and freed") {
  Tensor x = Tensor::scalar(1).requires_grad_();
  Tensor y = x;
  for (int i = 0; i < 100000; ++i) y = y + x;
  y.backward();
  CHECK(x.grad().item() == 100001);
}

TEST_CASE("flip takes any strides and dtype, and names what it cannot do") {
  const int64_t both[] = {0, 1}, twice[] = {1, -1}, past[] = {2};
  Tensor x = range({2, 3}).transpose(0, 1).to(DType::i32);  // [[0, 3], [1, 4], [2, 5]]
  CHECK(flip(x, both).to_vector() == std::vector<float>{5, 2, 4, 1, 3, 0});
  CHECK(flip(x, {}).to_vector() == x.to_vector());
  CHECK(message_of([&] { flip(x, twice); }) == "flip: dimension -1 is named twice");
  CHECK(message_of([&] { flip(x, past); }) == "flip: dimension 2 is out of range for 2 dimensions");

  Tensor blocks = range({2, 32}).to(DType::q8_0);
  const int64_t rows[] = {0};
  CHECK(message_of([&] { flip(blocks, rows); }) ==
        "flip: q8_0 [2, 32] is of a block dtype; call .to(f32) first");
}
