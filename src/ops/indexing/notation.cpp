// The C++ notation of indexing: views for the plain parts, index() for the tensors.
#include "tallow/indexing.h"

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

bool is_mask(const Tensor& t) { return t.dtype() == DType::boolean || t.dtype() == DType::u8; }

// The dimensions that a part takes up.
int dims_of(const TensorIndex& part) {
  switch (part.kind()) {
    case TensorIndex::Kind::none:
    case TensorIndex::Kind::ellipsis: return 0;
    case TensorIndex::Kind::tensor: return is_mask(part.tensor()) ? part.tensor().dim() : 1;
    default: return 1;
  }
}

}  // namespace

Selection resolve(const Tensor& x, std::span<const TensorIndex> parts) {
  int named = 0;
  for (const TensorIndex& part : parts) named += dims_of(part);
  if (named > x.dim()) fail_index("index: ", named, " indices for ", x);
  Selection result{x, {}};
  bool spread = false;
  int dim = 0;
  for (const TensorIndex& part : parts) {
    switch (part.kind()) {
      case TensorIndex::Kind::number: result.view = select(result.view, dim, part.number()); break;
      case TensorIndex::Kind::slice: {
        const Slice& s = part.slice();
        result.view = slice(result.view, dim++, s.start, s.stop, s.step);
        break;
      }
      case TensorIndex::Kind::none: result.view = unsqueeze(result.view, dim++); break;
      case TensorIndex::Kind::ellipsis:
        if (spread) fail_index("index: more than one Ellipsis");
        spread = true;
        dim += x.dim() - named;
        break;
      case TensorIndex::Kind::tensor: {
        const Tensor& t = part.tensor();
        result.indices.resize(static_cast<size_t>(dim));
        // A truth value chooses a new dimension, or nothing of it.
        if (is_mask(t) && t.dim() == 0) result.view = unsqueeze(result.view, dim);
        result.indices.push_back(is_mask(t) && t.dim() == 0 ? reshape(t, {1}) : t);
        dim += is_mask(t) ? std::max(t.dim(), 1) : 1;
        // A mask of several dimensions is one entry that takes up several.
        if (is_mask(t) && t.dim() > 1) {
          const Tensors columns = unbind(nonzero(t), 1);
          result.indices.pop_back();
          for (int i = 0; i < t.dim(); ++i) {
            const int64_t n = result.view.size(static_cast<int64_t>(result.indices.size()));
            if (t.shape()[i] != n) fail_index("index: a mask ", t, " does not fit ", x);
            result.indices.push_back(columns[static_cast<size_t>(i)]);
          }
        }
        break;
      }
    }
  }
  return result;
}

Tensor Tensor::operator[](std::initializer_list<TensorIndex> parts) const {
  const Selection s = resolve(*this, {parts.begin(), parts.size()});
  return s.indices.empty() ? s.view : tallow::index(s.view, s.indices);
}

Tensor Tensor::operator[](int64_t i) const { return tallow::select(*this, 0, i); }

void put(Tensor& x, std::initializer_list<TensorIndex> parts, const Tensor& values) {
  Selection s = resolve(x, {parts.begin(), parts.size()});
  if (s.indices.empty()) {
    s.view.copy_(values);
  } else {
    in_place(s.view, "index_put_", index_put(s.view, s.indices, values.to(x.dtype())));
  }
}

}  // namespace tallow
