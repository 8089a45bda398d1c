// Tensors of Python's data.
#pragma once

#include <Python.h>

#include <optional>

#include "tallow/tensor.h"

namespace tallow::python {

/// A tensor of nested sequences of numbers, of the dtype that fits them unless it is given.
Tensor nested_tensor(PyObject* data, std::optional<DType> dtype);

/// Keeps a Python object alive from C++, and lets it go on any thread.
std::shared_ptr<void> owner_of(PyObject* object);

}  // namespace tallow::python
