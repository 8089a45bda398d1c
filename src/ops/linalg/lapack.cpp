// The Fortran symbols of LAPACK and BLAS, wrapped: the only file that knows the library.
#include "ops/linalg/lapack.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tallow::lapack {
namespace {
using F32 = float;
using F64 = double;
using C64 = std::complex<float>;
using C128 = std::complex<double>;
using Length = size_t;  // of a character argument, passed behind the others

int at_least_1(int n) { return std::max(1, n); }

// The length of the workspace that a query left in its first element.
template <class T>
int wanted(T first) {
  return static_cast<int>(std::real(first)) + 1;
}
template <class T>
std::vector<T> workspace(int n) {
  return std::vector<T>(static_cast<size_t>(at_least_1(n)));
}
extern "C" void openblas_set_num_threads(int);
}  // namespace

void use_one_thread() {
  static const bool done = (openblas_set_num_threads(1), true);
  (void)done;
}

// Calls f(work, lwork) twice: as a query, and with the workspace that it asked for.
template <class T, class F>
int with_workspace(const F& f) {
  T query{};
  if (const int info = f(&query, -1)) return info;
  std::vector<T> work = workspace<T>(wanted(query));
  return f(work.data(), static_cast<int>(work.size()));
}

// What all four types have in one form. P is the prefix.
#define TALLOW_LAPACK(P, T)                                                                       \
  extern "C" {                                                                                    \
  void P##gemm_(const char*, const char*, const int*, const int*, const int*, const T*, const T*, \
                const int*, const T*, const int*, const T*, T*, const int*, Length, Length);      \
  void P##trsm_(const char*, const char*, const char*, const char*, const int*, const int*,       \
                const T*, const T*, const int*, T*, const int*, Length, Length, Length, Length);  \
  void P##getrf_(const int*, const int*, T*, const int*, int*, int*);                             \
  void P##getrs_(const char*, const int*, const int*, const T*, const int*, const int*, T*,       \
                 const int*, int*, Length);                                                       \
  void P##potrf_(const char*, const int*, T*, const int*, int*, Length);                          \
  void P##geqrf_(const int*, const int*, T*, const int*, T*, T*, const int*, int*);               \
  void P##gels_(const char*, const int*, const int*, const int*, T*, const int*, T*, const int*,  \
                T*, const int*, int*, Length);                                                    \
  void P##sytrf_(const char*, const int*, T*, const int*, int*, T*, const int*, int*, Length);    \
  void P##sytrs_(const char*, const int*, const int*, const T*, const int*, const int*, T*,       \
                 const int*, int*, Length);                                                       \
  }                                                                                               \
  template <>                                                                                     \
  void gemm<T>(int m, int n, int k, const T* a, const T* b, T* c) {                               \
    const T one = 1, zero = 0;                                                                    \
    const int lda = at_least_1(m), ldb = at_least_1(k);                                           \
    P##gemm_("N", "N", &m, &n, &k, &one, a, &lda, b, &ldb, &zero, c, &lda, 1, 1);                 \
  }                                                                                               \
  template <>                                                                                     \
  void trsm<T>(char side, char uplo, bool unit, int m, int n, const T* a, T* b) {                 \
    const T one = 1;                                                                              \
    const int lda = at_least_1(side == 'L' ? m : n), ldb = at_least_1(m);                         \
    P##trsm_(&side, &uplo, "N", unit ? "U" : "N", &m, &n, &one, a, &lda, b, &ldb, 1, 1, 1, 1);    \
  }                                                                                               \
  template <>                                                                                     \
  int getrf<T>(int m, int n, T* a, int* pivots) {                                                 \
    int info = 0;                                                                                 \
    const int lda = at_least_1(m);                                                                \
    P##getrf_(&m, &n, a, &lda, pivots, &info);                                                    \
    return info;                                                                                  \
  }                                                                                               \
  template <>                                                                                     \
  int getrs<T>(int n, int columns, const T* lu, const int* pivots, T* b) {                        \
    int info = 0;                                                                                 \
    const int ld = at_least_1(n);                                                                 \
    P##getrs_("N", &n, &columns, lu, &ld, pivots, b, &ld, &info, 1);                              \
    return info;                                                                                  \
  }                                                                                               \
  template <>                                                                                     \
  int potrf<T>(char uplo, int n, T* a) {                                                          \
    int info = 0;                                                                                 \
    const int ld = at_least_1(n);                                                                 \
    P##potrf_(&uplo, &n, a, &ld, &info, 1);                                                       \
    return info;                                                                                  \
  }                                                                                               \
  template <>                                                                                     \
  int geqrf<T>(int m, int n, T* a, T* tau) {                                                      \
    return with_workspace<T>([&](T* work, int length) {                                           \
      int info = 0;                                                                               \
      const int ld = at_least_1(m);                                                               \
      P##geqrf_(&m, &n, a, &ld, tau, work, &length, &info);                                       \
      return info;                                                                                \
    });                                                                                           \
  }                                                                                               \
  template <>                                                                                     \
  int gels<T>(int m, int n, int columns, T* a, T* b) {                                            \
    return with_workspace<T>([&](T* work, int length) {                                           \
      int info = 0;                                                                               \
      const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                            \
      P##gels_("N", &m, &n, &columns, a, &lda, b, &ldb, work, &length, &info, 1);                 \
      return info;                                                                                \
    });                                                                                           \
  }

// What differs in name between the real and the complex types: Q is "or" or "un".
#define TALLOW_LAPACK_UNITARY(P, T, Q, ADJOINT)                                                    \
  extern "C" {                                                                                     \
  void P##Q##gqr_(const int*, const int*, const int*, T*, const int*, const T*, T*, const int*,    \
                  int*);                                                                           \
  void P##Q##mqr_(const char*, const char*, const int*, const int*, const int*, const T*,          \
                  const int*, const T*, T*, const int*, T*, const int*, int*, Length, Length);     \
  }                                                                                                \
  template <>                                                                                      \
  int gqr<T>(int m, int n, int k, T* a, const T* tau) {                                            \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      const int ld = at_least_1(m);                                                                \
      P##Q##gqr_(&m, &n, &k, a, &ld, tau, work, &length, &info);                                   \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int mqr<T>(char side, bool adjoint, int m, int n, int k, const T* a, const T* tau, T* c) {       \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      const int lda = at_least_1(side == 'L' ? m : n), ldc = at_least_1(m);                        \
      P##Q##mqr_(&side, adjoint ? ADJOINT : "N", &m, &n, &k, a, &lda, tau, c, &ldc, work, &length, \
                 &info, 1, 1);                                                                     \
      return info;                                                                                 \
    });                                                                                            \
  }

// Routines whose real forms lack the array of real workspace that the complex ones have.
#define TALLOW_LAPACK_REAL(P, T)                                                                   \
  extern "C" {                                                                                     \
  void P##gesdd_(const char*, const int*, const int*, T*, const int*, T*, T*, const int*, T*,      \
                 const int*, T*, const int*, int*, int*, Length);                                  \
  void P##syevd_(const char*, const char*, const int*, T*, const int*, T*, T*, const int*, int*,   \
                 const int*, int*, Length, Length);                                                \
  void P##geev_(const char*, const char*, const int*, T*, const int*, T*, T*, T*, const int*, T*,  \
                const int*, T*, const int*, int*, Length, Length);                                 \
  void P##gelsy_(const int*, const int*, const int*, T*, const int*, T*, const int*, int*,         \
                 const T*, int*, T*, const int*, int*);                                            \
  void P##gelsd_(const int*, const int*, const int*, T*, const int*, T*, const int*, T*, const T*, \
                 int*, T*, const int*, int*, int*);                                                \
  void P##gelss_(const int*, const int*, const int*, T*, const int*, T*, const int*, T*, const T*, \
                 int*, T*, const int*, int*);                                                      \
  }                                                                                                \
  template <>                                                                                      \
  int gesdd<T>(char job, int m, int n, T* a, T* s, T* u, T* vh) {                                  \
    std::vector<int> integers = workspace<int>(8 * std::min(m, n));                                \
    const int lda = at_least_1(m), ldv = at_least_1(job == 'S' ? std::min(m, n) : n);              \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gesdd_(&job, &m, &n, a, &lda, s, u, &lda, vh, &ldv, work, &length, integers.data(),       \
                &info, 1);                                                                         \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int heevd<T>(bool vectors, char uplo, int n, T* a, T* w) {                                       \
    const char* job = vectors ? "V" : "N";                                                         \
    const int ld = at_least_1(n), integers_length = 3 + 5 * n;                                     \
    std::vector<int> integers = workspace<int>(integers_length);                                   \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##syevd_(job, &uplo, &n, a, &ld, w, work, &length, integers.data(), &integers_length,       \
                &info, 1, 1);                                                                      \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int geev<T>(int n, T* a, std::complex<T>* w, std::complex<T>* vectors) {                         \
    return real_geev<T>(P##geev_, n, a, w, vectors);                                               \
  }                                                                                                \
  template <>                                                                                      \
  int gelsy<T>(int m, int n, int columns, T* a, T* b, T rcond, int* rank) {                        \
    std::vector<int> pivots = workspace<int>(n);                                                   \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelsy_(&m, &n, &columns, a, &lda, b, &ldb, pivots.data(), &rcond, rank, work, &length,    \
                &info);                                                                            \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int gelsd<T>(int m, int n, int columns, T* a, T* b, T* s, T rcond, int* rank) {                  \
    std::vector<int> integers = workspace<int>(gelsd_integers(std::min(m, n)));                    \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelsd_(&m, &n, &columns, a, &lda, b, &ldb, s, &rcond, rank, work, &length,                \
                integers.data(), &info);                                                           \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int gelss<T>(int m, int n, int columns, T* a, T* b, T* s, T rcond, int* rank) {                  \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelss_(&m, &n, &columns, a, &lda, b, &ldb, s, &rcond, rank, work, &length, &info);        \
      return info;                                                                                 \
    });                                                                                            \
  }

#define TALLOW_LAPACK_COMPLEX(P, T, R)                                                             \
  extern "C" {                                                                                     \
  void P##gesdd_(const char*, const int*, const int*, T*, const int*, R*, T*, const int*, T*,      \
                 const int*, T*, const int*, R*, int*, int*, Length);                              \
  void P##heevd_(const char*, const char*, const int*, T*, const int*, R*, T*, const int*, R*,     \
                 const int*, int*, const int*, int*, Length, Length);                              \
  void P##geev_(const char*, const char*, const int*, T*, const int*, T*, T*, const int*, T*,      \
                const int*, T*, const int*, R*, int*, Length, Length);                             \
  void P##gelsy_(const int*, const int*, const int*, T*, const int*, T*, const int*, int*,         \
                 const R*, int*, T*, const int*, R*, int*);                                        \
  void P##gelsd_(const int*, const int*, const int*, T*, const int*, T*, const int*, R*, const R*, \
                 int*, T*, const int*, R*, int*, int*);                                            \
  void P##gelss_(const int*, const int*, const int*, T*, const int*, T*, const int*, R*, const R*, \
                 int*, T*, const int*, R*, int*);                                                  \
  void P##hetrf_(const char*, const int*, T*, const int*, int*, T*, const int*, int*, Length);     \
  void P##hetrs_(const char*, const int*, const int*, const T*, const int*, const int*, T*,        \
                 const int*, int*, Length);                                                        \
  }                                                                                                \
  template <>                                                                                      \
  int gesdd<T>(char job, int m, int n, T* a, R* s, T* u, T* vh) {                                  \
    const int least = std::min(m, n), most = std::max(m, n);                                       \
    std::vector<int> integers = workspace<int>(8 * least);                                         \
    std::vector<R> reals = workspace<R>(                                                           \
        std::max(5 * least * least + 5 * least, 2 * most * least + 2 * least * least + least));    \
    const int lda = at_least_1(m), ldv = at_least_1(job == 'S' ? least : n);                       \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gesdd_(&job, &m, &n, a, &lda, s, u, &lda, vh, &ldv, work, &length, reals.data(),          \
                integers.data(), &info, 1);                                                        \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int heevd<T>(bool vectors, char uplo, int n, T* a, R* w) {                                       \
    const char* job = vectors ? "V" : "N";                                                         \
    const int ld = at_least_1(n), integers_length = 3 + 5 * n;                                     \
    const int reals_length = 1 + 5 * n + 2 * n * n;                                                \
    std::vector<int> integers = workspace<int>(integers_length);                                   \
    std::vector<R> reals = workspace<R>(reals_length);                                             \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##heevd_(job, &uplo, &n, a, &ld, w, work, &length, reals.data(), &reals_length,             \
                integers.data(), &integers_length, &info, 1, 1);                                   \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int geev<T>(int n, T* a, T* w, T* vectors) {                                                     \
    const int ld = at_least_1(n), one = 1;                                                         \
    std::vector<R> reals = workspace<R>(2 * n);                                                    \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##geev_("N", vectors ? "V" : "N", &n, a, &ld, w, nullptr, &one, vectors,                    \
               vectors ? &ld : &one, work, &length, reals.data(), &info, 1, 1);                    \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int gelsy<T>(int m, int n, int columns, T* a, T* b, R rcond, int* rank) {                        \
    std::vector<int> pivots = workspace<int>(n);                                                   \
    std::vector<R> reals = workspace<R>(2 * n);                                                    \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelsy_(&m, &n, &columns, a, &lda, b, &ldb, pivots.data(), &rcond, rank, work, &length,    \
                reals.data(), &info);                                                              \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int gelsd<T>(int m, int n, int columns, T* a, T* b, R* s, R rcond, int* rank) {                  \
    const int least = std::min(m, n);                                                              \
    std::vector<int> integers = workspace<int>(gelsd_integers(least));                             \
    std::vector<R> reals = workspace<R>(gelsd_reals(std::max(m, n), least, columns));              \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelsd_(&m, &n, &columns, a, &lda, b, &ldb, s, &rcond, rank, work, &length, reals.data(),  \
                integers.data(), &info);                                                           \
      return info;                                                                                 \
    });                                                                                            \
  }                                                                                                \
  template <>                                                                                      \
  int gelss<T>(int m, int n, int columns, T* a, T* b, R* s, R rcond, int* rank) {                  \
    const int lda = at_least_1(m), ldb = at_least_1(std::max(m, n));                               \
    std::vector<R> reals = workspace<R>(5 * std::min(m, n));                                       \
    return with_workspace<T>([&](T* work, int length) {                                            \
      int info = 0;                                                                                \
      P##gelss_(&m, &n, &columns, a, &lda, b, &ldb, s, &rcond, rank, work, &length, reals.data(),  \
                &info);                                                                            \
      return info;                                                                                 \
    });                                                                                            \
  }

// Bunch-Kaufman: HF and HS are the routines of Hermitian matrices, which are symmetric ones if
// real.
#define TALLOW_LAPACK_SYMMETRIC(P, T, HF, HS)                                             \
  template <>                                                                             \
  int sytrf<T>(bool hermitian, int n, T* a, int* pivots) {                                \
    return with_workspace<T>([&](T* work, int length) {                                   \
      int info = 0;                                                                       \
      const int ld = at_least_1(n);                                                       \
      (hermitian ? HF : P##sytrf_)("L", &n, a, &ld, pivots, work, &length, &info, 1);     \
      return info;                                                                        \
    });                                                                                   \
  }                                                                                       \
  template <>                                                                             \
  int sytrs<T>(bool hermitian, int n, int columns, const T* a, const int* pivots, T* b) { \
    int info = 0;                                                                         \
    const int ld = at_least_1(n);                                                         \
    (hermitian ? HS : P##sytrs_)("L", &n, &columns, a, &ld, pivots, b, &ld, &info, 1);    \
    return info;                                                                          \
  }

namespace {

// A bound on gelsd's integer workspace: 3 levels of at most 32 halvings, and 11 more.
int gelsd_integers(int least) { return 3 * 32 * at_least_1(least) + 11 * at_least_1(least); }
// LAPACK's formula for the real workspace of cgelsd and zgelsd, with 32 levels and leaves of 25.
int gelsd_reals(int most, int least, int columns) {
  constexpr int kLeaf = 25, kLevels = 32;
  return 10 * most + 2 * most * kLeaf + 8 * most * kLevels + 3 * kLeaf * columns +
         std::max((kLeaf + 1) * (kLeaf + 1), least * (1 + columns) + 2 * columns);
}

// Real matrices give complex pairs as two columns: the real and the imaginary part of the first.
template <class T, class F>
int real_geev(const F& routine, int n, T* a, std::complex<T>* w, std::complex<T>* vectors) {
  const int ld = at_least_1(n), one = 1;
  const size_t size = static_cast<size_t>(n);
  std::vector<T> re = workspace<T>(n), im = workspace<T>(n);
  std::vector<T> v = workspace<T>(vectors ? n * n : 1);
  const int info = with_workspace<T>([&](T* work, int length) {
    int result = 0;
    routine("N", vectors ? "V" : "N", &n, a, &ld, re.data(), im.data(), nullptr, &one, v.data(),
            vectors ? &ld : &one, work, &length, &result, 1, 1);
    return result;
  });
  for (size_t j = 0; j < size; ++j) w[j] = {re[j], im[j]};
  for (size_t j = 0; vectors && j < size; ++j) {
    for (size_t i = 0; i < size; ++i) {
      const T first = v[j * size + i];
      if (im[j] == T(0) || j + 1 == size) {
        vectors[j * size + i] = first;
      } else {
        const T second = v[(j + 1) * size + i];
        vectors[j * size + i] = {first, second};
        vectors[(j + 1) * size + i] = {first, -second};
      }
    }
    if (im[j] != T(0)) ++j;
  }
  return info;
}

}  // namespace

// NOLINTBEGIN
TALLOW_LAPACK(s, F32)
TALLOW_LAPACK(d, F64)
TALLOW_LAPACK(c, C64)
TALLOW_LAPACK(z, C128)
TALLOW_LAPACK_UNITARY(s, F32, or, "T")
TALLOW_LAPACK_UNITARY(d, F64, or, "T")
TALLOW_LAPACK_UNITARY(c, C64, un, "C")
TALLOW_LAPACK_UNITARY(z, C128, un, "C")
TALLOW_LAPACK_REAL(s, F32)
TALLOW_LAPACK_REAL(d, F64)
TALLOW_LAPACK_COMPLEX(c, C64, F32)
TALLOW_LAPACK_COMPLEX(z, C128, F64)
TALLOW_LAPACK_SYMMETRIC(s, F32, ssytrf_, ssytrs_)
TALLOW_LAPACK_SYMMETRIC(d, F64, dsytrf_, dsytrs_)
TALLOW_LAPACK_SYMMETRIC(c, C64, chetrf_, chetrs_)
TALLOW_LAPACK_SYMMETRIC(z, C128, zhetrf_, zhetrs_)
// NOLINTEND

}  // namespace tallow::lapack
