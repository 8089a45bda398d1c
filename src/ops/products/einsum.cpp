// einsum and tensordot: contractions of labelled dimensions, pair by pair, through batched
// products.
#include <algorithm>
#include <limits>

#include "ops/elements.h"
#include "ops/products/products.h"
#include "tallow/error.h"

namespace tallow {
namespace {

bool has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

int position(const Labels& labels, int label) {
  return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

struct Operand {
  Tensor tensor;
  Labels labels;

  int64_t size(int label) const { return tensor.size(position(labels, label)); }
  // Dimensions in the order of `wanted`.
  Tensor ordered(const Labels& wanted) const {
    Shape order;
    for (int label : wanted) order.push_back(position(labels, label));
    return tensor.permute(Dims(order));
  }
  void sum_out(const Labels& gone) {
    if (gone.empty()) return;
    Shape dims;
    for (int label : gone) dims.push_back(position(labels, label));
    tensor = sum(tensor, dims);
    std::erase_if(labels, [&](int label) { return has(gone, label); });
  }
};

// A label that stands twice is the diagonal.
Operand with_diagonals(Tensor tensor, Labels labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size(); ++j) {
      if (labels[i] != labels[j]) continue;
      tensor = diagonal(tensor, 0, static_cast<int64_t>(i), static_cast<int64_t>(j));
      const int label = labels[i];
      labels.erase(labels.begin() + static_cast<int64_t>(j));
      labels.erase(labels.begin() + static_cast<int64_t>(i));
      labels.push_back(label);
      return with_diagonals(tensor, labels);
    }
  }
  return {tensor, labels};
}

int64_t product_of(const Operand& x, const Labels& labels) {
  int64_t n = 1;
  for (int label : labels) n *= x.size(label);
  return n;
}

// Drops dimensions of size 1 that broadcast against the other operand.
void drop_broadcast(Operand& a, const Operand& b) {
  for (size_t i = a.labels.size(); i-- > 0;) {
    if (a.tensor.size(static_cast<int64_t>(i)) != 1 || !has(b.labels, a.labels[i]) ||
        b.size(a.labels[i]) == 1) {
      continue;
    }
    a.tensor = a.tensor.squeeze(static_cast<int64_t>(i));
    a.labels.erase(a.labels.begin() + static_cast<int64_t>(i));
  }
}

void append(Labels& to, const Labels& from) { to.insert(to.end(), from.begin(), from.end()); }

// a times b elementwise over the labels of both.
Operand multiply(const Operand& a, const Operand& b, const Labels& batch, const Labels& left,
                 const Labels& right) {
  Labels labels = batch;
  append(labels, left);
  append(labels, right);
  Labels a_order = batch, b_order = batch;
  append(a_order, left);
  append(b_order, right);
  Tensor x = a.ordered(a_order);
  for (size_t i = 0; i < right.size(); ++i) x = x.unsqueeze(-1);
  Tensor y = b.ordered(b_order);
  for (size_t i = 0; i < left.size(); ++i) y = y.unsqueeze(static_cast<int64_t>(batch.size()));
  return {x * y, labels};
}

// The product of two operands, summed over what `keep` lacks.
Operand contract_pair(Operand a, Operand b, const Labels& keep) {
  drop_broadcast(a, b);
  drop_broadcast(b, a);
  Labels only_a, only_b, batch, inner, left, right;
  for (int label : a.labels) {
    if (has(b.labels, label)) {
      (has(keep, label) ? batch : inner).push_back(label);
    } else {
      (has(keep, label) ? left : only_a).push_back(label);
    }
  }
  for (int label : b.labels) {
    if (!has(a.labels, label)) (has(keep, label) ? right : only_b).push_back(label);
  }
  const DType type = a.tensor.dtype();
  a.sum_out(only_a);
  b.sum_out(only_b);
  if (inner.empty()) return multiply(a, b, batch, left, right);
  a.tensor = a.tensor.to(type), b.tensor = b.tensor.to(type);  // sums of integers widen
  Labels a_order = batch, b_order = batch, labels = batch;
  append(a_order, left), append(a_order, inner);
  append(b_order, inner), append(b_order, right);
  append(labels, left), append(labels, right);
  Shape shape;
  for (int label : batch) shape.push_back(a.size(label));
  for (int label : left) shape.push_back(a.size(label));
  for (int label : right) shape.push_back(b.size(label));
  const int64_t count = product_of(a, batch), k = product_of(a, inner);
  const int64_t m = product_of(a, left), n = product_of(b, right);
  const Tensor x = a.ordered(a_order), y = b.ordered(b_order);
  const Tensor product = batch.empty() ? matmul(x.reshape({m, k}), y.reshape({k, n}))
                                       : matmul(x.reshape({count, m, k}), y.reshape({count, k, n}));
  return {product.reshape(shape), labels};
}

// Elements of the product of a and b.
double result_size(const Operand& a, const Operand& b, const Labels& keep) {
  double n = 1;
  for (int label : a.labels) {
    if (!has(keep, label)) continue;
    const int64_t other = has(b.labels, label) ? b.size(label) : 1;
    n *= static_cast<double>(std::max(a.size(label), other));
  }
  for (int label : b.labels) {
    if (has(keep, label) && !has(a.labels, label)) n *= static_cast<double>(b.size(label));
  }
  return n;
}

Labels labels_kept(const std::vector<Operand>& operands, size_t i, size_t j, const Labels& output) {
  Labels keep = output;
  for (size_t o = 0; o < operands.size(); ++o) {
    if (o != i && o != j) append(keep, operands[o].labels);
  }
  return keep;
}

// The pair whose product adds least memory: the greedy order of opt_einsum (Smith and Gray 2018).
std::pair<size_t, size_t> next_pair(const std::vector<Operand>& operands, const Labels& output) {
  std::pair<size_t, size_t> best{0, 1};
  if (operands.size() == 2) return best;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < operands.size(); ++i) {
    for (size_t j = i + 1; j < operands.size(); ++j) {
      const double cost =
          result_size(operands[i], operands[j], labels_kept(operands, i, j, output)) -
          static_cast<double>(operands[i].tensor.numel()) -
          static_cast<double>(operands[j].tensor.numel());
      if (cost < least) least = cost, best = {i, j};
    }
  }
  return best;
}

constexpr int kEllipsis = 1000;  // the labels of dimensions that "..." stands for start here

struct Equation {
  std::vector<std::string> inputs;
  std::string output;
  bool has_output = false;
};

Equation split_equation(std::string_view text, size_t operands) {
  std::string compact;
  for (char c : text) {
    if (c != ' ') compact += c;
  }
  Equation e;
  std::string_view rest = compact;
  if (const size_t arrow = rest.find("->"); arrow != std::string_view::npos) {
    e.has_output = true, e.output = rest.substr(arrow + 2), rest = rest.substr(0, arrow);
  }
  for (;;) {
    const size_t comma = rest.find(',');
    e.inputs.emplace_back(rest.substr(0, comma));
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
  }
  if (e.inputs.size() != operands)
    fail("einsum: \"", text, "\" names ", static_cast<int64_t>(e.inputs.size()), " operands; ",
         static_cast<int64_t>(operands), " were given");
  return e;
}

// The labels of one operand or of the result, whose "..." stands for `rest` dimensions.
Labels parse(std::string_view text, int rest, std::string_view equation) {
  Labels labels;
  bool ellipsis = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else if (c == '.') {
      if (text.substr(i, 3) != "..." || ellipsis)
        fail("einsum: \"", equation, "\": a '.' that is not part of one \"...\" per operand");
      ellipsis = true;
      i += 2;
      for (int d = 0; d < rest; ++d) labels.push_back(kEllipsis + rest - 1 - d);
    } else {
      fail("einsum: \"", equation, "\": '", c, "' is not a letter of the alphabet");
    }
  }
  return labels;
}

int letters_of(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return c != '.'; }));
}

// Without "->" the letters that stand once, in alphabetical order, behind the broadcast rest.
Labels implied_output(const std::vector<Labels>& inputs, int most_rest) {
  int count[128] = {};
  for (const Labels& labels : inputs) {
    for (int label : labels) {
      if (label < 128) ++count[label];
    }
  }
  Labels output;
  for (int d = most_rest; d-- > 0;) output.push_back(kEllipsis + d);
  for (int c = 0; c < 128; ++c) {
    if (count[c] == 1) output.push_back(c);
  }
  return output;
}

void check_output(const Labels& output, const std::vector<Labels>& inputs,
                  std::string_view equation) {
  for (size_t i = 0; i < output.size(); ++i) {
    const int label = output[i];
    for (size_t j = 0; j < i; ++j) {
      if (output[j] == label)
        fail("einsum: \"", equation, "\": '", static_cast<char>(label),
             "' stands twice in the result");
    }
    if (std::none_of(inputs.begin(), inputs.end(),
                     [&](const Labels& labels) { return has(labels, label); }))
      fail("einsum: \"", equation, "\": '", static_cast<char>(label), "' is in no operand");
  }
}

void check_sizes(const std::vector<Labels>& labels, const Tensors& operands) {
  std::vector<std::pair<int, int64_t>> seen;
  for (size_t o = 0; o < operands.size(); ++o) {
    for (size_t d = 0; d < labels[o].size(); ++d) {
      const int64_t size = operands[o].size(static_cast<int64_t>(d));
      for (size_t e = 0; e < d; ++e) {
        if (labels[o][e] == labels[o][d] && operands[o].size(static_cast<int64_t>(e)) != size)
          fail("einsum: operand ", static_cast<int64_t>(o), " ", operands[o],
               " repeats an index over dimensions of different sizes");
      }
      auto at = std::find_if(seen.begin(), seen.end(),
                             [&](const auto& pair) { return pair.first == labels[o][d]; });
      if (at == seen.end()) {
        seen.emplace_back(labels[o][d], size);
      } else if (at->second == 1) {
        at->second = size;
      } else if (size != 1 && size != at->second) {
        fail("einsum: dimension ", static_cast<int64_t>(d), " of operand ", static_cast<int64_t>(o),
             " ", operands[o], " does not fit size ", at->second, " of the same index elsewhere");
      }
    }
  }
}

}  // namespace

Tensor contract(std::vector<Labels> labels, Tensors tensors, const Labels& output) {
  std::vector<Operand> operands;
  for (size_t i = 0; i < tensors.size(); ++i) {
    operands.push_back(with_diagonals(tensors[i], labels[i]));
  }
  while (operands.size() > 1) {
    const auto [i, j] = next_pair(operands, output);
    Operand product = contract_pair(operands[i], operands[j], labels_kept(operands, i, j, output));
    operands.erase(operands.begin() + static_cast<int64_t>(j));
    operands.erase(operands.begin() + static_cast<int64_t>(i));
    operands.push_back(std::move(product));
  }
  Operand& last = operands[0];
  Labels gone;
  for (int label : last.labels) {
    if (!has(output, label)) gone.push_back(label);
  }
  if (!gone.empty()) last.sum_out(gone);
  return last.ordered(output);
}

Tensor einsum(std::string_view equation, const Tensors& operands) {
  if (operands.empty()) fail("einsum: no operands; give at least one");
  const Equation e = split_equation(equation, operands.size());
  std::vector<Labels> labels;
  int most_rest = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    check_not_block("einsum", operands[i]);
    if (i > 0) check_same_dtype("einsum", operands[0], operands[i]);
    const bool ellipsis = e.inputs[i].find("...") != std::string::npos;
    const int rest = operands[i].dim() - letters_of(e.inputs[i]);
    if (rest < 0 || (rest > 0 && !ellipsis))
      fail("einsum: \"", e.inputs[i], "\" does not name the ", operands[i].dim(),
           " dimensions of operand ", static_cast<int64_t>(i), " ", operands[i]);
    labels.push_back(parse(e.inputs[i], ellipsis ? rest : 0, equation));
    most_rest = std::max(most_rest, ellipsis ? rest : 0);
  }
  const Labels output =
      e.has_output ? parse(e.output, most_rest, equation) : implied_output(labels, most_rest);
  check_output(output, labels, equation);
  check_sizes(labels, operands);
  return contract(std::move(labels), operands, output);
}

Tensor tensordot(const Tensor& a, const Tensor& b, int64_t dims) {
  if (dims < 0 || dims > a.dim() || dims > b.dim())
    fail("tensordot: dims is ", dims, "; it needs 0 up to the dimensions of ", a, " and ", b);
  Shape left, right;
  for (int64_t i = 0; i < dims; ++i) {
    left.push_back(a.dim() - dims + i);
    right.push_back(i);
  }
  return tensordot(a, b, Dims(left), Dims(right));
}

Tensor tensordot(const Tensor& a, const Tensor& b, const Dims& dims_self, const Dims& dims_other) {
  check_same_dtype("tensordot", a, b);
  if (dims_self.size() != dims_other.size())
    fail("tensordot: ", dims_self.size(), " dimensions of a and ", dims_other.size(),
         " of b; they are contracted in pairs");
  dim_bits(dims_self, a.dim(), "tensordot");
  dim_bits(dims_other, b.dim(), "tensordot");
  Labels left, right, output;
  for (int i = 0; i < a.dim(); ++i) left.push_back(i);
  for (int i = 0; i < b.dim(); ++i) right.push_back(100 + i);
  for (int i = 0; i < dims_self.size(); ++i) {
    const int x = normalize_dim(dims_self[i], a.dim(), "tensordot");
    const int y = normalize_dim(dims_other[i], b.dim(), "tensordot");
    if (a.size(x) != b.size(y) && a.size(x) != 1 && b.size(y) != 1)
      fail("tensordot: dimension ", x, " of ", a, " and ", y, " of ", b, " differ in size");
    right[static_cast<size_t>(y)] = left[static_cast<size_t>(x)];
    left[static_cast<size_t>(x)] = right[static_cast<size_t>(y)];
  }
  for (int label : left) {
    if (!has(right, label)) output.push_back(label);
  }
  for (int label : right) {
    if (!has(left, label)) output.push_back(label);
  }
  // Sums of integers would widen; PyTorch keeps the dtype here.
  return contract({left, right}, {a, b}, output).to(a.dtype());
}

}  // namespace tallow
