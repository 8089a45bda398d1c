// LAPACK and BLAS for f32, f64, c64 and c128: T is float, double or std::complex of them. Matrices
// are column-major without gaps: [rows, columns] has its columns `rows` apart. The results are
// LAPACK's `info`, 0 where all went well. Workspace is taken as each routine asks.
#pragma once

#include <complex>
#include <cstdint>
#include <type_traits>

namespace tallow::lapack {

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;
template <class T>
inline constexpr bool kComplex = !std::is_same_v<T, Real<T>>;

/// Keeps the library from threads of its own: tallow's run a matrix each.
void use_one_thread();

/// c [m, n] = a [m, k] b [k, n].
template <class T>
void gemm(int m, int n, int k, const T* a, const T* b, T* c);
/// b [m, n] = a^-1 b (side 'L') or b a^-1 ('R'), a triangular.
template <class T>
void trsm(char side, char uplo, bool unit, int m, int n, const T* a, T* b);

template <class T>
int getrf(int m, int n, T* a, int* pivots);
template <class T>
int getrs(int n, int columns, const T* lu, const int* pivots, T* b);
template <class T>
int potrf(char uplo, int n, T* a);
template <class T>
int geqrf(int m, int n, T* a, T* tau);
/// The first `n` columns of the product of k reflectors: orgqr, ungqr.
template <class T>
int gqr(int m, int n, int k, T* a, const T* tau);
/// c [m, n] = Q c or c Q, Q of k reflectors in a, or Q^H: ormqr, unmqr.
template <class T>
int mqr(char side, bool adjoint, int m, int n, int k, const T* a, const T* tau, T* c);
/// job 'A', 'S' or 'N'. a is overwritten.
template <class T>
int gesdd(char job, int m, int n, T* a, Real<T>* s, T* u, T* vh);
/// Eigenvectors replace a where wanted: syevd, heevd.
template <class T>
int heevd(bool vectors, char uplo, int n, T* a, Real<T>* w);
/// Eigenvalues and right eigenvectors, both complex; `vectors` may be null.
template <class T>
int geev(int n, T* a, std::complex<Real<T>>* w, std::complex<Real<T>>* vectors);
/// The least squares of a [m, n] x = b [max(m, n), columns]; rank and s where the driver has them.
template <class T>
int gels(int m, int n, int columns, T* a, T* b);
template <class T>
int gelsy(int m, int n, int columns, T* a, T* b, Real<T> rcond, int* rank);
template <class T>
int gelsd(int m, int n, int columns, T* a, T* b, Real<T>* s, Real<T> rcond, int* rank);
template <class T>
int gelss(int m, int n, int columns, T* a, T* b, Real<T>* s, Real<T> rcond, int* rank);
/// Bunch-Kaufman factors of the lower triangle: sytrf, hetrf.
template <class T>
int sytrf(bool hermitian, int n, T* a, int* pivots);
template <class T>
int sytrs(bool hermitian, int n, int columns, const T* a, const int* pivots, T* b);

}  // namespace tallow::lapack
