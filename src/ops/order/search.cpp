// searchsorted, bucketize and isin.
#include <algorithm>
#include <vector>

#include "ops/order/keys.h"
#include "ops/order/values.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// NaN stands behind all numbers.
struct Less {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b || (a == a && b != b);
  }
};

struct Search {
  Tensor sequence, sorter, out;
  bool right;

  template <class T>
  void run(const Tensor& input) const {
    const bool shared = sequence.dim() == 1;
    const int64_t n = sequence.shape().back();
    const int64_t m = shared || input.dim() == 0 ? input.numel() : input.shape().back();
    if (input.numel() == 0) return;
    std::vector<T> rows = values_of<T>(sequence);
    if (sorter) arrange(rows, n);
    ElementReader<T> reader(input, input.shape());
    parallel_for(input.numel(), kChunk, [&](int64_t begin, int64_t end, int) {
      T scratch[kChunk];
      int64_t places[kChunk];
      for (int64_t i = begin; i < end; i += kChunk) {
        const int64_t count = std::min(kChunk, end - i);
        const T* values = reader.read(i, count, scratch);
        for (int64_t j = 0; j < count; ++j) {
          const T* first = rows.data() + (shared ? 0 : (i + j) / m * n);
          places[j] = place(first, first + n, values[j]) - first;
        }
        write_elements(out, i, count, places);
      }
    });
  }

  template <class T>
  const T* place(const T* first, const T* last, T value) const {
    return right ? std::upper_bound(first, last, value, Less())
                 : std::lower_bound(first, last, value, Less());
  }

  template <class T>
  void arrange(std::vector<T>& rows, int64_t n) const {
    const std::vector<T> from = rows;
    const std::vector<int64_t> order = values_of<int64_t>(sorter);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<int64_t>(i) / n * n;
      if (order[i] < 0 || order[i] >= n) {
        fail("searchsorted: sorter holds the index ", order[i], ", outside 0..", n - 1);
      }
      rows[i] = from[static_cast<size_t>(row + order[i])];
    }
  }
};

void check_search(const Tensor& sequence, const Tensor& input, const Tensor& sorter) {
  for (const Tensor& x : {sequence, input}) {
    check_not_block("searchsorted", x);
    check_not_complex("searchsorted", x);
  }
  if (sequence.dim() == 0) fail("searchsorted: sorted_sequence is 0-dimensional; it needs [n]");
  if (!input.is_number() && input.dtype() != sequence.dtype()) {
    fail("searchsorted: sorted_sequence ", sequence, " and input ", input, " differ in dtype");
  }
  Shape a = sequence.shape(), b = input.shape();
  if (a.size() > 1) {
    if (b.size() == a.size()) a.back() = b.back() = 0;
    if (a != b) {
      fail("searchsorted: input ", input, " does not fit sorted_sequence ", sequence,
           "; all dimensions but the last must agree");
    }
  }
  if (sorter && (sorter.shape() != sequence.shape() || sorter.dtype() != DType::i64)) {
    fail("searchsorted: sorter ", sorter, " must be i64 of the shape of ", sequence);
  }
}

}  // namespace

Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& input, bool out_int32, bool right,
                    std::string_view side, const Tensor& sorter) {
  check_search(sorted_sequence, input, sorter);
  if (!side.empty() && side != "left" && side != "right") {
    fail("searchsorted: side is \"", side, "\"; it is \"left\" or \"right\"");
  }
  if (right && side == "left") {
    fail("searchsorted: side is \"left\" but right is true; give one of them");
  }
  if (out_int32 && sorted_sequence.shape().back() >= INT32_MAX) {
    fail("searchsorted: sorted_sequence ", sorted_sequence, " is too long for out_int32");
  }
  NoGrad no_grad;
  const Tensor out = Tensor::empty(input.shape(), out_int32 ? DType::i32 : DType::i64);
  const DType common = promote(sorted_sequence, input, "searchsorted");
  const Search search{sorted_sequence, sorter, out, right || side == "right"};
  with_compute_type(compute_type(common), [&]<class T>(T) { search.run<T>(input); });
  return out;
}

Tensor bucketize(const Tensor& input, const Tensor& boundaries, bool out_int32, bool right) {
  if (boundaries.dim() != 1) {
    fail("bucketize: boundaries ", boundaries, " must have 1 dimension");
  }
  return searchsorted(boundaries, input, out_int32, right);
}

Tensor isin(const Tensor& elements, const Tensor& test_elements, bool, bool invert) {
  const DType common = promote(elements, test_elements, "isin");
  check_not_complex("isin", elements);
  check_not_complex("isin", test_elements);
  NoGrad no_grad;
  const Tensor out = Tensor::empty(elements.shape(), DType::boolean);
  with_compute_type(compute_type(common), [&]<class T>(T) {
    // The element's own precision decides, as in a comparison.
    std::vector<T> among = values_of<T>(test_elements.to(common));
    std::erase_if(among, [](T v) { return v != v; });
    std::sort(among.begin(), among.end());
    const Tensor converted = elements.to(common);
    ElementReader<T> reader(converted, converted.shape());
    bool* to = static_cast<bool*>(out.raw());
    parallel_for(out.numel(), kChunk, [&](int64_t begin, int64_t end, int) {
      T scratch[kChunk];
      for (int64_t i = begin; i < end; i += kChunk) {
        const int64_t count = std::min(kChunk, end - i);
        const T* values = reader.read(i, count, scratch);
        for (int64_t j = 0; j < count; ++j) {
          const bool found =
              values[j] == values[j] && std::binary_search(among.begin(), among.end(), values[j]);
          to[i + j] = found != invert;
        }
      }
    });
  });
  return out;
}

}  // namespace tallow
