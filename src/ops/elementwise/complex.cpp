// Complex numbers and the real ones that they are made of.
#include "ops/elements.h"
#include "ops/elementwise/rows.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

DType real_part_dtype(DType complex) { return complex == DType::c128 ? DType::f64 : DType::f32; }

Specs infer_as_real(Inputs in, const NoOptions&) {
  const Tensor& x = in[0];
  if (!is_complex(x)) fail("view_as_real: ", x, " is not complex");
  Shape shape = x.shape(), strides = x.strides();
  for (int64_t& s : strides) s *= 2;
  shape.push_back(2);
  strides.push_back(1);
  return {{.shape = shape,
           .dtype = real_part_dtype(x.dtype()),
           .alias = 0,
           .is_view = true,
           .strides = strides,
           .offset = x.offset()}};
}

Specs infer_as_complex(Inputs in, const NoOptions&) {
  const Tensor& x = in[0];
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64) {
    fail("view_as_complex: ", x, " is neither f32 nor f64");
  }
  if (x.dim() == 0 || x.shape().back() != 2) {
    fail("view_as_complex: the last dimension of ", x, " is not 2, a real and an imaginary part");
  }
  Shape shape = x.shape(), strides = x.strides();
  bool fits = strides.back() == 1 && x.offset() % (2 * info(x.dtype()).bytes) == 0;
  shape.erase(shape.size() - 1);
  strides.erase(strides.size() - 1);
  for (int i = 0; i < shape.size(); ++i) {
    fits &= strides[i] % 2 == 0 || shape[i] <= 1;
    strides[i] /= 2;
  }
  if (!fits && x.numel() > 0) {
    fail("view_as_complex: the parts of ", x, " do not lie side by side; call .contiguous() first");
  }
  return {{.shape = shape,
           .dtype = to_complex(x.dtype()),
           .alias = 0,
           .is_view = true,
           .strides = strides,
           .offset = x.offset()}};
}

constinit Op<> view_as_real_op{
    "view_as_real",
    {.infer = infer_as_real,
     .vjp = [](const Saved<NoOptions>&,
               Inputs grads) { return Tensors{view_as_complex(grads[0].contiguous())}; },
     .shapes_only = true}};
constinit Op<> view_as_complex_op{
    "view_as_complex",
    {.infer = infer_as_complex,
     .vjp = [](const Saved<NoOptions>&, Inputs grads) { return Tensors{view_as_real(grads[0])}; },
     .shapes_only = true}};

// The negated imaginary parts: its own gradient.
Tensor conjugated(const Tensor& x);
constinit Op<> conj_op{
    "conj",
    {.infer =
         [](Inputs in, const NoOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp = [](const Saved<NoOptions>&, Inputs grads) { return Tensors{conjugated(grads[0])}; },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           const elementwise::Loop loop = [](const void* const* from, void* to, int64_t n, unsigned,
                                             const double*) {
             const auto* x = static_cast<const Complex*>(from[0]);
             auto* y = static_cast<Complex*>(to);
             for (int64_t i = 0; i < n; ++i) y[i] = std::conj(x[i]);
           };
           const DType type = DType::c128;
           elementwise::run_loop(loop, in, &type, out[0], type, {});
         },
     .shapes_only = true}};
Tensor conjugated(const Tensor& x) { return apply(conj_op, {x}); }

void check_real_pair(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    fail(op, ": ", a, " and ", b, " are not of one dtype; convert one");
  }
  if (!is_real(a.dtype())) fail(op, ": ", a, " is not real; call .to(f32) first");
}

// [..., 2], for view_as_complex.
Tensor side_by_side(const Tensor& re, const Tensor& im) {
  Shape shape = broadcast_shapes(re.shape(), im.shape(), "complex");
  Tensor both = cat({re.expand(shape).unsqueeze(-1), im.expand(shape).unsqueeze(-1)}, -1);
  return view_as_complex(both.dtype() == DType::f64 ? both : both.to(DType::f32));
}

}  // namespace

bool is_complex(const Tensor& self) { return is_complex(self.dtype()); }
bool is_floating_point(const Tensor& self) { return is_real(self.dtype()); }

Tensor view_as_real(const Tensor& self) { return apply(view_as_real_op, {self}); }
Tensor view_as_complex(const Tensor& self) { return apply(view_as_complex_op, {self}); }

Tensor real(const Tensor& self) {
  return is_complex(self) ? view_as_real(self).select(-1, 0) : self;
}
Tensor imag(const Tensor& self) {
  if (!is_complex(self)) fail("imag: ", self, " is not complex");
  return view_as_real(self).select(-1, 1);
}

Tensor conj(const Tensor& self) { return is_complex(self) ? conjugated(self) : self; }
Tensor conj_physical(const Tensor& self) { return conj(self); }
Tensor resolve_conj(const Tensor& self) { return self; }
Tensor resolve_neg(const Tensor& self) { return self; }

Tensor angle(const Tensor& self) {
  return rows::angle(is_integral(self.dtype()) ? self.to(default_dtype()) : self);
}

Tensor isreal(const Tensor& self) {
  if (is_complex(self)) return eq(imag(self), 0);
  return logical_or(ne(self, self), eq(self, self));
}

Tensor complex(const Tensor& real, const Tensor& imag) {
  check_real_pair("complex", real, imag);
  return side_by_side(real, imag);
}

Tensor polar(const Tensor& abs, const Tensor& angle) {
  check_real_pair("polar", abs, angle);
  return side_by_side(abs * cos(angle), abs * sin(angle));
}

}  // namespace tallow
