// Gradients: backward and grad, modes, hooks, functions written in Python, checkpoints.
#include "tallow/autograd.h"

#include "args.h"
#include "data.h"
#include "numbers.h"
#include "objects.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

// None or a tensor, or a sequence of them.
Tensors tensors_of(PyObject* o, const char* what) {
  Tensors list;
  if (!o || o == Py_None) return list;
  if (is_tensor(o)) return {tensor_of(o)};
  PyObject* items = PySequence_Fast(o, what);
  if (!items) throw PythonError{};
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items, i);
    if (item != Py_None && !is_tensor(item)) {
      PyErr_Format(PyExc_TypeError, "%s: expected Tensors, not %s", what, Py_TYPE(item)->tp_name);
      Py_DECREF(items);
      throw PythonError{};
    }
    list.push_back(item == Py_None ? Tensor() : tensor_of(item));
  }
  Py_DECREF(items);
  return list;
}

PyObject* tuple_of(const Tensors& list) {
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(list.size()));
  for (size_t i = 0; i < list.size(); ++i) PyTuple_SET_ITEM(tuple, i, wrap(list[i]));
  return tuple;
}

// Holds the interpreter in a function that C++ calls.
class WithGil {
 public:
  WithGil() : state_(PyGILState_Ensure()) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  PyGILState_STATE state_;
};

// backward(tensors, gradients, retain_graph, create_graph, inputs)
PyObject* run_backward(PyObject*, PyObject* args) {
  PyObject *tensors, *gradients, *inputs;
  int retain_graph, create_graph;
  if (!PyArg_ParseTuple(args, "OOppO", &tensors, &gradients, &retain_graph, &create_graph,
                        &inputs)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensors outputs = tensors_of(tensors, "backward"),
                  seeds = tensors_of(gradients, "gradient");
    const Tensors leaves = tensors_of(inputs, "inputs");
    const GradOptions options{create_graph != 0, true, retain_graph != 0};
    WithoutGil gil;
    backward(outputs, seeds, options, leaves);
    return none(gil);
  });
}

// grad(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused)
PyObject* run_grad(PyObject*, PyObject* args) {
  PyObject *outputs, *inputs, *seeds;
  int retain_graph, create_graph, allow_unused;
  if (!PyArg_ParseTuple(args, "OOOppp", &outputs, &inputs, &seeds, &retain_graph, &create_graph,
                        &allow_unused)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensors of = tensors_of(outputs, "grad"), by = tensors_of(inputs, "inputs");
    const Tensors weights = tensors_of(seeds, "grad_outputs");
    const GradOptions options{create_graph != 0, allow_unused != 0, retain_graph != 0};
    WithoutGil gil;
    Tensors result = grad(of, by, weights, options);
    gil.end();
    return tuple_of(result);
  });
}

PyObject* get_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }
PyObject* put_grad_enabled(PyObject*, PyObject* value) {
  set_grad_enabled(PyObject_IsTrue(value) == 1);
  Py_RETURN_NONE;
}
PyObject* get_inference_mode(PyObject*, PyObject*) {
  return PyBool_FromLong(inference_mode_enabled());
}
PyObject* put_inference_mode(PyObject*, PyObject* value) {
  set_inference_mode(PyObject_IsTrue(value) == 1);
  Py_RETURN_NONE;
}
PyObject* get_anomaly(PyObject*, PyObject*) { return PyBool_FromLong(anomaly_detection()); }
PyObject* put_anomaly(PyObject*, PyObject* value) {
  set_anomaly_detection(PyObject_IsTrue(value) == 1);
  Py_RETURN_NONE;
}

// The result of a function of Python's that was called with tensors. A Python error goes on
// through C++ as it is.
PyObject* called(PyObject* function, PyObject* arguments) {
  PyObject* result = PyObject_CallObject(function, arguments);
  Py_DECREF(arguments);
  if (!result) throw PythonError{};
  return result;
}

// register_hook(tensor, function) -> number
PyObject* register_hook(PyObject*, PyObject* args) {
  PyObject *self, *function;
  if (!PyArg_ParseTuple(args, "OO", &self, &function)) return nullptr;
  return guarded([&] {
    auto held = owner_of(function);
    return PyLong_FromLongLong(checked_tensor(self).register_hook([held](const Tensor& gradient) {
      WithGil gil;
      PyObject* result = called(static_cast<PyObject*>(held.get()), tuple_of({gradient}));
      Tensor replaced = is_tensor(result) ? tensor_of(result) : Tensor();
      Py_DECREF(result);
      return replaced;
    }));
  });
}
// register_post_hook(leaf, function) -> number
PyObject* register_post_hook(PyObject*, PyObject* args) {
  PyObject *self, *function;
  if (!PyArg_ParseTuple(args, "OO", &self, &function)) return nullptr;
  return guarded([&] {
    auto held = owner_of(function);
    return PyLong_FromLongLong(
        register_post_accumulate_grad_hook(checked_tensor(self), [held](const Tensor& leaf) {
          WithGil gil;
          Py_DECREF(called(static_cast<PyObject*>(held.get()), tuple_of({leaf})));
        }));
  });
}
PyObject* remove_hook(PyObject*, PyObject* args) {
  PyObject* self;
  long long id;
  if (!PyArg_ParseTuple(args, "OL", &self, &id)) return nullptr;
  return guarded([&] {
    checked_tensor(self).remove_hook(id);
    Py_RETURN_NONE;
  });
}

// custom_gradient(name, inputs, outputs, backward) -> outputs with history
PyObject* give_gradient(PyObject*, PyObject* args) {
  const char* name;
  PyObject *inputs, *outputs, *function;
  if (!PyArg_ParseTuple(args, "sOOO", &name, &inputs, &outputs, &function)) return nullptr;
  return guarded([&] {
    auto held = owner_of(function);
    return tuple_of(custom_gradient(name, tensors_of(inputs, name), tensors_of(outputs, name),
                                    [held](const Tensors& gradients) {
                                      WithGil gil;
                                      PyObject* result = called(static_cast<PyObject*>(held.get()),
                                                                tuple_of(gradients));
                                      Tensors list = tensors_of(result, "backward");
                                      Py_DECREF(result);
                                      return list;
                                    }));
  });
}

// checkpoint(function, inputs) -> outputs, as a tuple
PyObject* run_checkpoint(PyObject*, PyObject* args) {
  PyObject *function, *inputs;
  if (!PyArg_ParseTuple(args, "OO", &function, &inputs)) return nullptr;
  return guarded([&] {
    auto held = owner_of(function);
    return tuple_of(checkpoint(
        [held](const Tensors& tensors) {
          WithGil gil;
          PyObject* result = called(static_cast<PyObject*>(held.get()), tuple_of(tensors));
          Tensors list = tensors_of(result, "checkpoint");
          Py_DECREF(result);
          return list;
        },
        tensors_of(inputs, "checkpoint")));
  });
}

PyObject* retain_grad(PyObject*, PyObject* self) {
  return guarded([&] {
    checked_tensor(self).retain_grad();
    Py_RETURN_NONE;
  });
}
PyObject* grad_fn_name(PyObject*, PyObject* self) {
  return guarded([&] { return PyUnicode_FromString(checked_tensor(self).grad_fn().c_str()); });
}
PyObject* detach_in_place(PyObject*, PyObject* self) {
  return guarded([&] {
    checked_tensor(self).detach_();
    return Py_NewRef(self);
  });
}
PyObject* copy_into(PyObject*, PyObject* args) {
  PyObject *self, *source;
  if (!PyArg_ParseTuple(args, "OO", &self, &source)) return nullptr;
  return guarded([&] {
    const Tensor value = is_tensor(source) ? tensor_of(source) : Tensor(to_scalar(source));
    WithoutGil gil;
    checked_tensor(self).copy_(value);
    gil.end();
    return Py_NewRef(self);
  });
}
// write(self, op, result)
PyObject* write(PyObject*, PyObject* args) {
  PyObject *self, *result;
  const char* op;
  if (!PyArg_ParseTuple(args, "OsO", &self, &op, &result)) return nullptr;
  return guarded([&] {
    in_place(checked_tensor(self), op, Tensor(checked_tensor(result)));
    return Py_NewRef(self);
  });
}
// Makes self a handle of another tensor, as views in place do (unsqueeze_).
PyObject* rebind(PyObject*, PyObject* args) {
  PyObject *self, *other;
  if (!PyArg_ParseTuple(args, "OO", &self, &other)) return nullptr;
  return guarded([&] {
    Tensor& to = checked_tensor(self);
    to = Tensor(checked_tensor(other));
    return Py_NewRef(self);
  });
}
PyObject* is_view(PyObject*, PyObject* self) {
  return guarded([&] { return PyBool_FromLong(checked_tensor(self).is_view()); });
}

// A reference that does not keep the tensor alive, and the tensor or None.
PyObject* weak(PyObject*, PyObject* self) {
  return guarded([&] {
    auto* held = new std::weak_ptr<TensorImpl>(checked_tensor(self).impl());
    return PyCapsule_New(held, "tallow.weak", [](PyObject* capsule) {
      delete static_cast<std::weak_ptr<TensorImpl>*>(PyCapsule_GetPointer(capsule, "tallow.weak"));
    });
  });
}
PyObject* of_weak(PyObject*, PyObject* capsule) {
  auto* held =
      static_cast<std::weak_ptr<TensorImpl>*>(PyCapsule_GetPointer(capsule, "tallow.weak"));
  if (!held) return nullptr;
  std::shared_ptr<TensorImpl> impl = held->lock();
  return impl ? wrap(Tensor(std::move(impl))) : Py_NewRef(Py_None);
}

PyMethodDef functions[] = {{"_weak", weak, METH_O, nullptr},
                           {"_of_weak", of_weak, METH_O, nullptr},
                           {"_backward", run_backward, METH_VARARGS, nullptr},
                           {"_grad", run_grad, METH_VARARGS, nullptr},
                           {"is_grad_enabled", get_grad_enabled, METH_NOARGS, nullptr},
                           {"_set_grad_enabled", put_grad_enabled, METH_O, nullptr},
                           {"is_inference_mode_enabled", get_inference_mode, METH_NOARGS, nullptr},
                           {"_set_inference_mode", put_inference_mode, METH_O, nullptr},
                           {"is_anomaly_enabled", get_anomaly, METH_NOARGS, nullptr},
                           {"_set_anomaly", put_anomaly, METH_O, nullptr},
                           {"_register_hook", register_hook, METH_VARARGS, nullptr},
                           {"_register_post_hook", register_post_hook, METH_VARARGS, nullptr},
                           {"_remove_hook", remove_hook, METH_VARARGS, nullptr},
                           {"_custom_gradient", give_gradient, METH_VARARGS, nullptr},
                           {"_checkpoint", run_checkpoint, METH_VARARGS, nullptr},
                           {"_retain_grad", retain_grad, METH_O, nullptr},
                           {"_grad_fn_name", grad_fn_name, METH_O, nullptr},
                           {"_detach_", detach_in_place, METH_O, nullptr},
                           {"_copy_", copy_into, METH_VARARGS, nullptr},
                           {"_write", write, METH_VARARGS, nullptr},
                           {"_rebind", rebind, METH_VARARGS, nullptr},
                           {"_is_view", is_view, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_autograd(PyObject* module) { add_functions(module, functions); }

}  // namespace tallow::python
