// x[...] and x[...] = y: numbers, slices, None, Ellipsis, masks and integer tensors, as NumPy's.
#include <optional>

#include "args.h"
#include "data.h"
#include "numbers.h"
#include "objects.h"
#include "slots.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

constexpr Method kIndex("index"), kIndexPut("index_put_");

// The view that the plain parts of a key choose, and the tensors that choose among its elements.
class Selection {
 public:
  Selection(const Tensor& x, PyObject* key) : view_(x) {
    PyObject* const one[] = {key};
    const bool many = PyTuple_Check(key);
    PyObject* const* items = many ? PySequence_Fast_ITEMS(key) : one;
    const Py_ssize_t count = many ? PyTuple_GET_SIZE(key) : 1;
    specified_ = 0;
    for (Py_ssize_t i = 0; i < count; ++i) specified_ += dims_of(items[i]);
    if (specified_ > x.dim()) {
      PyErr_Format(PyExc_IndexError, "too many indices for tensor of dimension %d", x.dim());
      throw PythonError{};
    }
    for (Py_ssize_t i = 0; i < count; ++i) take(items[i]);
  }

  const Tensor& view() const { return view_; }
  bool is_plain() const { return indices_.empty(); }
  /// The tensors, None where a dimension is taken whole; a new reference.
  PyObject* indices() const {
    PyObject* list = PyTuple_New(static_cast<Py_ssize_t>(indices_.size()));
    for (size_t i = 0; i < indices_.size(); ++i) PyTuple_SET_ITEM(list, i, wrap(indices_[i]));
    return list;
  }

 private:
  static bool is_mask(const Tensor& x) {
    return x.dtype() == DType::boolean || x.dtype() == DType::u8;
  }

  static int dims_of(PyObject* item) {
    if (item == Py_None || item == Py_Ellipsis || PyBool_Check(item)) return 0;
    if (is_tensor(item) && is_mask(tensor_of(item))) return tensor_of(item).dim();
    return 1;
  }

  void take(PyObject* item) {
    if (item == Py_None) {
      view_ = view_.unsqueeze(dim_++);
    } else if (item == Py_Ellipsis) {
      // All dimensions that no other part of the key names.
      if (seen_ellipsis_) return;
      seen_ellipsis_ = true;
      dim_ += view_.dim() - dim_ - remaining();
    } else if (PySlice_Check(item)) {
      take_slice(item);
    } else if (PyBool_Check(item)) {
      view_ = view_.unsqueeze(dim_);
      add(Tensor::full({1}, item == Py_True, DType::boolean), 1);
    } else if (is_tensor(item)) {
      take_tensor(tensor_of(item));
    } else if (is_integer(item)) {
      take_number(to_integer(item));
    } else {
      take_sequence(item);
    }
  }

  // Dimensions that the rest of the key will take.
  int remaining() const { return specified_ - taken_; }

  void take_number(int64_t i) {
    const int64_t size = view_.size(dim_);
    if (i < -size || i >= size) {
      PyErr_Format(PyExc_IndexError, "index %lld is out of bounds for dimension %d with size %lld",
                   static_cast<long long>(i), dim_, static_cast<long long>(size));
      throw PythonError{};
    }
    view_ = view_.select(dim_, i < 0 ? i + size : i);
    ++taken_;
  }

  void take_slice(PyObject* item) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(item, &start, &stop, &step) < 0) throw PythonError{};
    if (step <= 0) {
      PyErr_SetString(PyExc_ValueError, "step must be greater than zero");
      throw PythonError{};
    }
    const Py_ssize_t size = view_.size(dim_);
    PySlice_AdjustIndices(size, &start, &stop, step);
    if (start != 0 || stop != size || step != 1) {
      view_ = view_.slice(dim_, start, std::max(start, stop), step);
    }
    ++dim_;
    ++taken_;
  }

  void take_tensor(const Tensor& x) {
    if (x.dim() == 0 && is_integral(x.dtype()) && !is_mask(x)) {
      PyObject* number = item(x);
      const int64_t at = to_integer(number);
      Py_DECREF(number);
      return take_number(at);
    }
    if (!is_integral(x.dtype())) {
      PyErr_Format(PyExc_IndexError,
                   "tensors used as indices must be long, int, byte or bool tensors, not %s",
                   to_string(x.dtype()).c_str());
      throw PythonError{};
    }
    if (is_mask(x) && x.dim() == 0) {
      view_ = view_.unsqueeze(dim_);
      return add(x.reshape({1}), 1);
    }
    const int dims = is_mask(x) ? x.dim() : 1;
    taken_ += dims;
    add(x, dims);
  }

  void take_sequence(PyObject* sequence) {
    if (!PySequence_Check(sequence)) {
      PyErr_Format(PyExc_TypeError,
                   "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
                   "are valid indices (got %s)",
                   Py_TYPE(sequence)->tp_name);
      throw PythonError{};
    }
    Tensor index = nested_tensor(sequence, std::nullopt);
    if (index.numel() == 0 && is_real(index.dtype())) index = index.to(DType::i64);
    take_tensor(index);
  }

  void add(Tensor index, int dims) {
    for (; covered_ < dim_; ++covered_) indices_.emplace_back();
    indices_.push_back(std::move(index));
    dim_ += dims;
    covered_ = dim_;
  }

  Tensor view_;
  Tensors indices_;
  int dim_ = 0;      // of the view, where the next part of the key applies
  int covered_ = 0;  // dimensions of the view that indices_ stands for
  int specified_ = 0, taken_ = 0;
  bool seen_ellipsis_ = false;
};

PyObject* get_item(PyObject* self, PyObject* key) {
  try {
    const Tensor& x = tensor_of(self);
    if (PyLong_CheckExact(key) && x.dim() == 0) {
      PyErr_SetString(PyExc_IndexError,
                      "invalid index of a 0-dim tensor. Use `tensor.item()` in Python");
      return nullptr;
    }
    Selection chosen(x, key);
    if (chosen.is_plain()) {
      // A key that changes nothing is still a view of its own.
      if (chosen.view().impl() == x.impl()) return wrap(x.view(x.shape()));
      return wrap(chosen.view());
    }
    PyObject* view = wrap(chosen.view());
    PyObject* indices = chosen.indices();
    PyObject* result = kIndex(view, &indices, 1);
    Py_DECREF(indices);
    Py_DECREF(view);
    return result;
  } catch (...) {
    set_error();
    return nullptr;
  }
}

// A value to assign: a tensor, or a number.
Tensor value_of(PyObject* value, const Tensor& target) {
  if (is_tensor(value)) return tensor_of(value);
  if (!is_number(value)) {
    PyErr_Format(PyExc_TypeError, "can't assign a %s to a tensor of %s", Py_TYPE(value)->tp_name,
                 to_string(target.dtype()).c_str());
    throw PythonError{};
  }
  return Tensor(to_scalar(value));
}

// Without the leading dimensions of size 1 that the target has not.
Tensor without_leading_ones(Tensor value, int dims) {
  while (value.dim() > dims && value.shape()[0] == 1) value = value.select(0, 0);
  return value;
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "Tensor does not support deleting items");
    return -1;
  }
  try {
    Selection chosen(tensor_of(self), key);
    Tensor source = value_of(value, chosen.view());
    if (chosen.is_plain()) {
      Tensor view = chosen.view();
      source = without_leading_ones(source, view.dim());
      WithoutGil gil;
      view.copy_(source);
      return 0;
    }
    if (source.is_number() || source.dtype() != chosen.view().dtype()) {
      source = source.to(chosen.view().dtype());
    }
    PyObject* view = wrap(chosen.view());
    PyObject* args[] = {chosen.indices(), wrap(source)};
    PyObject* result = kIndexPut(view, args, 2);
    Py_DECREF(args[0]);
    Py_DECREF(args[1]);
    Py_DECREF(view);
    Py_XDECREF(result);
    return result ? 0 : -1;
  } catch (...) {
    set_error();
    return -1;
  }
}

Py_ssize_t length(PyObject* self) {
  const Tensor& x = tensor_of(self);
  if (x.dim() > 0) return x.shape()[0];
  PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
  return -1;
}

PyObject* sequence_item(PyObject* self, Py_ssize_t i) {
  PyObject* key = PyLong_FromSsize_t(i);
  PyObject* result = get_item(self, key);
  Py_DECREF(key);
  return result;
}

PyObject* iterate(PyObject* self) {
  if (tensor_of(self).dim() == 0) {
    PyErr_SetString(PyExc_TypeError, "iteration over a 0-d tensor");
    return nullptr;
  }
  return PySeqIter_New(self);
}

int contains(PyObject* self, PyObject* value) {
  PyObject* equal = PyObject_RichCompare(self, value, Py_EQ);
  if (!equal) return -1;
  PyObject* any = PyObject_CallMethod(equal, "any", nullptr);
  Py_DECREF(equal);
  if (!any) return -1;
  const int result = PyObject_IsTrue(any);
  Py_DECREF(any);
  return result;
}

}  // namespace

void add_index_slots(std::vector<PyType_Slot>& slots) {
  slots.insert(slots.end(), {slot(Py_mp_subscript, get_item), slot(Py_mp_ass_subscript, set_item),
                             slot(Py_mp_length, length), slot(Py_sq_item, sequence_item),
                             slot(Py_sq_length, length), slot(Py_tp_iter, iterate),
                             slot(Py_sq_contains, contains)});
}

}  // namespace tallow::python
