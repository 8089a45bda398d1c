"""Decompositions of matrices of nearly low rank, by random projections: Halko, Martinsson and Tropp,
"Finding structure with randomness", 2011."""

from . import _C


def _basis(A, q, niter, M):
    """An orthonormal basis [.., m, q] of nearly the range of A - M."""
    def times(x):
        return A @ x if M is None else A @ x - M @ x

    def adjoint(x):
        return A.mH @ x if M is None else A.mH @ x - M.mH @ x

    x = _C.randn((*A.shape[:-2], A.shape[-1], q), dtype=A.dtype)
    Q = _C.linalg.qr(times(x)).Q
    for _ in range(niter):
        Q = _C.linalg.qr(adjoint(Q)).Q
        Q = _C.linalg.qr(times(Q)).Q
    return Q


def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S, V of A [.., m, n] (less M) with about U diag(S) V^H = A, of rank q."""
    q = 6 if q is None else q
    m, n = A.shape[-2:]
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    wide = m < n
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = _basis(A, q, niter, M)
    B = Q.mH @ A if M is None else Q.mH @ A - Q.mH @ M
    U, S, Vh = _C.linalg.svd(B, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A, q=None, center=True, niter=2):
    """The principal components of the rows of A [.., m, n]: U, S, V of A less its mean row."""
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if not A.is_floating_point():
        raise ValueError(f"input must be real, not {A.dtype}")
    return svd_lowrank(A - A.mean(dim=-2, keepdim=True) if center else A, q, niter)
