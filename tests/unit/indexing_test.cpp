// The C++ notation of indexing, tensors of lists and memory, and the random streams.
#include "tallow/indexing.h"

#include <doctest/doctest.h>

#include "tallow/error.h"
#include "tallow/from_data.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

std::vector<float> values(const Tensor& x) { return x.to_vector(); }

TEST_CASE("an index mixes numbers, slices, None, Ellipsis and masks") {
  const Tensor x = reshape(arange(24), {2, 3, 4});
  CHECK(values(x[{1, Slice(0, 3, 2), -1}]) == std::vector<float>{15, 23});
  CHECK(x[{Ellipsis, None, 0}].shape() == Shape{2, 3, 1});
  CHECK(x[{None, Slice(), 1}].shape() == Shape{1, 2, 4});
  const Tensor mask = tensor({true, false, true});
  CHECK(x[{0, mask}].shape() == Shape{2, 4});
  CHECK(values(x[{tensor({1, 0}), tensor({2, 0}), 3}]) == std::vector<float>{23, 3});
  CHECK(x[{tensor({0, 1}), Slice(), tensor({0, 1})}].shape() == Shape{2, 3});
  CHECK_THROWS_AS((x[{0, 0, 0, 0}]), IndexError);
  CHECK_THROWS_AS((x[{2}]), IndexError);
}

TEST_CASE("put writes views and chosen elements in place") {
  Tensor x = zeros({2, 3});
  put(x, {Slice(), 1}, 5);
  put(x, {tensor({0, 1}), tensor({0, 2})}, tensor({7.0, 8.0}));
  CHECK(values(x) == std::vector<float>{7, 5, 0, 0, 5, 8});
  put(x, {tensor({{true, false, false}, {false, false, true}})}, 0);
  CHECK(values(x) == std::vector<float>{0, 5, 0, 0, 5, 0});
}

TEST_CASE("tensor infers shape and dtype") {
  CHECK(tensor({{1, 2}, {3, 4}}).shape() == Shape{2, 2});
  CHECK(tensor({1, 2}).dtype() == DType::i64);
  CHECK(tensor({1, 2.5}).dtype() == DType::f32);
  CHECK(tensor(true).dtype() == DType::boolean);
  CHECK_THROWS_AS(tensor({{1, 2}, {3}}), Error);
}

TEST_CASE("from_blob shares memory and tells when it is done") {
  float memory[] = {1, 2, 3, 4, 5, 6};
  int freed = 0;
  {
    const Tensor x = from_blob(memory, {2, 3}, DType::f32, [&](void*) { ++freed; });
    const Tensor column = select(x, 1, 2);
    memory[5] = 9;
    CHECK(values(column) == std::vector<float>{3, 9});
  }
  CHECK(freed == 1);
}

TEST_CASE("random numbers depend on the seed alone") {
  const Shape shape{1000, 77};
  const auto draw = [&] {
    Generator generator(3);
    return values(randn(shape, generator));
  };
  set_num_threads(1);
  const std::vector<float> one = draw();
  set_num_threads(3);
  CHECK(draw() == one);
  set_num_threads(0);
  Generator generator(3);
  rand({5}, generator);
  const std::string state = generator.get_state();
  const std::vector<float> next = values(rand({9}, generator));
  generator.set_state(state);
  CHECK(values(rand({9}, generator)) == next);
  CHECK(values(rand({9}, generator)) != next);
}

}  // namespace
}  // namespace tallow
