"""log10, 10^x and atan2 in float32 that LLVM can turn into vector instructions; within 3e-7 of the exact values.

Numba calls a scalar library function for each of them, unless a proprietary vector library is installed. These are
polynomials, Chebyshev interpolants of the functions on the short intervals to which all others are reduced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ns3_scenarios.kernels import inlined, kernel

_FASTMATH = {"contract", "nsz"}
compiled = kernel(nogil=True, error_model="numpy", fastmath=_FASTMATH)
"""Compiles a kernel of the closed form; no NaN is looked for."""
part = inlined(fastmath=_FASTMATH, no_cpython_wrapper=True)
"""Compiles a part of such a kernel, which is inlined, makes no arrays, and cannot be called from Python."""
allocating_part = inlined(fastmath=_FASTMATH, no_cpython_wrapper=True, _nrt=True)
"""Compiles a part of which some kernel that it calls makes arrays."""


def _interpolant(function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int) -> tuple[Any, ...]:
    """Coefficients by falling power, as float32."""
    domain = (low, high)
    polynomial = np.polynomial.Chebyshev.interpolate(function, degree, domain).convert(
        kind=np.polynomial.Polynomial, domain=(-1, 1), window=(-1, 1)
    )
    return tuple(np.float32(value) for value in polynomial.coef[::-1])


def _log2_share(t: np.ndarray) -> np.ndarray:
    return np.where(np.abs(t) < 1e-9, 1, np.log1p(t) / np.where(t == 0, 1, t)) / math.log(2)


def _atan_share(square: np.ndarray) -> np.ndarray:
    root = np.sqrt(np.maximum(square, 1e-18))
    return np.arctan(root) / root


_L = _interpolant(_log2_share, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 9)
_E = _interpolant(np.exp2, -0.5, 0.5, 6)
_A = _interpolant(_atan_share, 0.0, 1.0, 9)
_HALF_ROOT_BITS = int(np.float32(math.sqrt(0.5)).view(np.int32))
_LOG10_OF_2, _LOG2_OF_10 = np.float32(math.log10(2)), np.float32(math.log2(10))
_PI, _HALF_PI = np.float32(math.pi), np.float32(math.pi / 2)
_HALF, _ZERO = np.float32(0.5), np.float32(0)
LEAST_POWER = 2.0**-125
"""The least value of exp10."""
_LEAST_EXPONENT, _LEAST = np.float32(-125), np.float32(1e-30)


def _exponent_bits(builder: Any, value: Any) -> tuple[Any, Any]:
    i32 = ir.IntType(32)
    bits = builder.bitcast(value, i32)
    return bits, builder.ashr(builder.sub(bits, ir.Constant(i32, _HALF_ROOT_BITS)), ir.Constant(i32, 23))


@intrinsic
def _exponent(typingctx: Any, x: Any) -> Any:
    """e of x = m 2^e with m from sqrt(1/2) to sqrt(2), as a float."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(_exponent_bits(builder, args[0])[1], ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic
def _mantissa(typingctx: Any, x: Any) -> Any:
    """m of x = m 2^e with m from sqrt(1/2) to sqrt(2)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, exponent = _exponent_bits(builder, args[0])
        return builder.bitcast(
            builder.sub(bits, builder.shl(exponent, ir.Constant(ir.IntType(32), 23))), ir.FloatType()
        )

    return types.float32(types.float32), codegen


@intrinsic
def _times_2_to(typingctx: Any, x: Any, whole: Any) -> Any:
    """x 2^whole for a whole float from -125."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        shift = builder.shl(builder.fptosi(args[1], i32), ir.Constant(i32, 23))
        return builder.bitcast(builder.add(builder.bitcast(args[0], i32), shift), ir.FloatType())

    return types.float32(types.float32, types.float32), codegen


@compiled
def log10(x: np.float32) -> np.float32:
    """log10 of a positive, normal float32."""
    t = _mantissa(x) - np.float32(1)  # type: ignore[call-arg]
    p = _L[0]
    for k in range(1, len(_L)):
        p = p * t + _L[k]
    return (_exponent(x) + p * t) * _LOG10_OF_2


@compiled
def exp10(x: np.float32) -> np.float32:
    """10^x of a float32, at least 2^-125."""
    y = x * _LOG2_OF_10
    y = y if y > _LEAST_EXPONENT else _LEAST_EXPONENT
    whole = np.floor(y + _HALF)
    t = y - whole
    p = _E[0]
    for k in range(1, len(_E)):
        p = p * t + _E[k]
    return _times_2_to(p, whole)  # type: ignore[call-arg]


@compiled
def atan2(y: np.float32, x: np.float32) -> np.float32:
    """The angle of the float32 point (x, y) from -pi to pi; 0 at the origin."""
    high, wide = abs(y), abs(x)
    steep = high > wide
    longer = high if steep else wide
    ratio = (wide if steep else high) / (longer if longer > _LEAST else _LEAST)
    square = ratio * ratio
    p = _A[0]
    for k in range(1, len(_A)):
        p = p * square + _A[k]
    angle = p * ratio
    angle = _HALF_PI - angle if steep else angle
    angle = _PI - angle if x < _ZERO else angle
    return -angle if y < _ZERO else angle
