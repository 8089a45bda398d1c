// Python's numbers, NumPy's scalars and tensors of one element, as C++ numbers.
#pragma once

#include <Python.h>

#include "tallow/tensor.h"

namespace tallow::python {

/// A number of NumPy's, such as numpy.float32(1).
bool is_numpy_number(PyObject* object);
bool is_numpy_bool(PyObject* object);
/// Whether it is a tensor whose only element stands for a number.
bool is_one_element(PyObject* object);

inline bool is_integer(PyObject* o) {
  return PyLong_Check(o) ? !PyBool_Check(o)
                         : PyIndex_Check(o) && (is_one_element(o) || is_numpy_number(o));
}
/// bool, int, float, complex and NumPy's.
bool is_number(PyObject* object);
/// int, float and NumPy's.
bool is_real(PyObject* object);

// They throw PythonError.
Scalar to_scalar(PyObject* object);
int64_t to_integer(PyObject* object);
double to_real(PyObject* object);

PyObject* from_scalar(const Scalar& scalar);
/// The element of a tensor that has one. Throws Error.
PyObject* item(const Tensor& tensor);
/// An element, from its memory.
PyObject* element(const void* at, DType dtype);

/// Copies `result` into the tensor, or tuple of tensors, `out`, and returns that.
PyObject* store(const char* function, PyObject* result, PyObject* out);
/// Throws where torch refuses `out` to show the memory of an argument, or its own twice.
void check_apart(const char* function, PyObject* const* arguments, int count, PyObject* out);

}  // namespace tallow::python
