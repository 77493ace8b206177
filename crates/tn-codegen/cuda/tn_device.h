// Emitted beside every kernel file: the only place where the text for a GPU and for the simulation on a CPU differ.
#pragma once
#ifdef __CUDACC__
#include <cuda_runtime.h>
#include <math.h>
#define TN_FUNCTION static __host__ __device__ __forceinline__
#define TN_DEVICE static __device__ __forceinline__
#define TN_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
#define TN_LAUNCH_FAILED() (cudaGetLastError() != cudaSuccess)
template <class T> static inline const T *tn_symbol(const T *symbol) {
    void *address = 0;
    return cudaGetSymbolAddress(&address, (const void *)symbol) == cudaSuccess ? (const T *)address : (const T *)0;
}
#else
#include "cusim.hpp"
#define TN_FUNCTION static inline
#define TN_DEVICE static inline
#define TN_LAUNCH(kernel, grid, block, stream, ...) ((void)(stream), cusim::launch(grid, block, 0, [=] { kernel(__VA_ARGS__); }))
#define TN_LAUNCH_FAILED() false
template <class T> static inline const T *tn_symbol(const T *symbol) { return symbol; }
#endif

typedef long long tn_index;

// Threads of a block; a power of two, so that joins can halve it.
#define TN_BLOCK 256u

// Blocks for `work` threads (or, with one result a block, for `work` blocks). Kernels stride over the grid.
static inline unsigned tn_grid(tn_index work) {
    const tn_index blocks = (work + TN_BLOCK - 1) / TN_BLOCK;
    return (unsigned)(blocks < 1 ? 1 : blocks > 65535 ? 65535 : blocks);
}
static inline unsigned tn_blocks(tn_index work) { return (unsigned)(work < 1 ? 1 : work > 65535 ? 65535 : work); }

// A complex number: re, im.
template <class R> struct tn_complex {
    R re, im;
};
template <class R> TN_FUNCTION tn_complex<R> operator+(tn_complex<R> a, tn_complex<R> b) { return {a.re + b.re, a.im + b.im}; }
template <class R> TN_FUNCTION tn_complex<R> operator-(tn_complex<R> a, tn_complex<R> b) { return {a.re - b.re, a.im - b.im}; }
template <class R> TN_FUNCTION tn_complex<R> operator-(tn_complex<R> a) { return {-a.re, -a.im}; }
template <class R> TN_FUNCTION tn_complex<R> operator*(tn_complex<R> a, tn_complex<R> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
// Smith's division: the larger part of the divisor is divided out first.
template <class R> TN_FUNCTION tn_complex<R> operator/(tn_complex<R> a, tn_complex<R> b) {
    if ((b.re < 0 ? -b.re : b.re) >= (b.im < 0 ? -b.im : b.im)) {
        const R r = b.im / b.re, d = b.re + b.im * r;
        return {(a.re + a.im * r) / d, (a.im - a.re * r) / d};
    }
    const R r = b.re / b.im, d = b.im + b.re * r;
    return {(a.re * r + a.im) / d, (a.im * r - a.re) / d};
}
template <class R> TN_FUNCTION tn_complex<R> &operator+=(tn_complex<R> &a, tn_complex<R> b) { return a = a + b; }

// Functions that look at the real part.
TN_FUNCTION float tn_re(float a) { return a; }
TN_FUNCTION double tn_re(double a) { return a; }
template <class R> TN_FUNCTION R tn_re(tn_complex<R> a) { return a.re; }
TN_FUNCTION float tn_conj(float a) { return a; }
TN_FUNCTION double tn_conj(double a) { return a; }
template <class R> TN_FUNCTION tn_complex<R> tn_conj(tn_complex<R> a) { return {a.re, -a.im}; }

#define TN_REAL(name, f32, f64)                       \
    TN_FUNCTION float name(float a) { return f32(a); } \
    TN_FUNCTION double name(double a) { return f64(a); }
TN_REAL(tn_exp, expf, exp)
TN_REAL(tn_log, logf, log)
TN_REAL(tn_sin, sinf, sin)
TN_REAL(tn_cos, cosf, cos)
TN_REAL(tn_sinh, sinhf, sinh)
TN_REAL(tn_cosh, coshf, cosh)
TN_REAL(tn_sqrt, sqrtf, sqrt)
TN_REAL(tn_tanh, tanhf, tanh)
TN_REAL(tn_erf, erff, erf)
TN_REAL(tn_abs, fabsf, fabs)
#undef TN_REAL
TN_FUNCTION float tn_pow(float a, float b) { return powf(a, b); }
TN_FUNCTION double tn_pow(double a, double b) { return pow(a, b); }
TN_FUNCTION float tn_angle(float y, float x) { return atan2f(y, x); }
TN_FUNCTION double tn_angle(double y, double x) { return atan2(y, x); }
TN_FUNCTION float tn_modulus(float x, float y) { return hypotf(x, y); }
TN_FUNCTION double tn_modulus(double x, double y) { return hypot(x, y); }

template <class R> TN_FUNCTION tn_complex<R> tn_abs(tn_complex<R> a) { return {tn_modulus(a.re, a.im), R(0)}; }
template <class R> TN_FUNCTION tn_complex<R> tn_exp(tn_complex<R> a) {
    const R size = tn_exp(a.re);
    return {size * tn_cos(a.im), size * tn_sin(a.im)};
}
template <class R> TN_FUNCTION tn_complex<R> tn_log(tn_complex<R> a) {
    return {tn_log(tn_modulus(a.re, a.im)), tn_angle(a.im, a.re)};
}
template <class R> TN_FUNCTION tn_complex<R> tn_sin(tn_complex<R> a) {
    return {tn_sin(a.re) * tn_cosh(a.im), tn_cos(a.re) * tn_sinh(a.im)};
}
template <class R> TN_FUNCTION tn_complex<R> tn_cos(tn_complex<R> a) {
    return {tn_cos(a.re) * tn_cosh(a.im), -(tn_sin(a.re) * tn_sinh(a.im))};
}
template <class R> TN_FUNCTION tn_complex<R> tn_sqrt(tn_complex<R> a) {
    const R size = tn_modulus(a.re, a.im);
    const R re = tn_sqrt((size + tn_abs(a.re)) / 2);
    if (re == 0) return {R(0), a.im};
    const R im = tn_abs(a.im) / (2 * re);
    const bool right = a.re >= 0;
    return {right ? re : im, a.im < 0 ? -(right ? im : re) : (right ? im : re)};
}
template <class R> TN_FUNCTION tn_complex<R> tn_pow(tn_complex<R> a, tn_complex<R> b) {
    if (a.re == 0 && a.im == 0) return {b.re == 0 && b.im == 0 ? R(1) : R(0), R(0)};
    if (a.im == 0 && b.im == 0 && a.re > 0) return {tn_pow(a.re, b.re), R(0)};
    return tn_exp(b * tn_log(a));
}
template <class R> TN_FUNCTION tn_complex<R> tn_tanh(tn_complex<R> a) { return {tn_tanh(a.re), R(0)}; }
template <class R> TN_FUNCTION tn_complex<R> tn_erf(tn_complex<R> a) { return {tn_erf(a.re), R(0)}; }
template <class T> TN_FUNCTION T tn_min(T a, T b) { return tn_re(b) < tn_re(a) ? b : a; }
template <class T> TN_FUNCTION T tn_max(T a, T b) { return tn_re(b) > tn_re(a) ? b : a; }

// Joins the values of a block's threads by halves; the order depends on TN_BLOCK only. Every thread must arrive.
template <class T> TN_DEVICE T tn_join_sum(T value) {
    __shared__ T part[TN_BLOCK];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = TN_BLOCK / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] = part[threadIdx.x] + part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}
template <class T> TN_DEVICE T tn_join_max(T value) {
    __shared__ T part[TN_BLOCK];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = TN_BLOCK / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] = tn_max(part[threadIdx.x], part[threadIdx.x + half]);
        __syncthreads();
    }
    return part[0];
}

template <class T> __global__ void tn_zero(tn_index len, T *y) {
    for (tn_index i = (tn_index)blockIdx.x * blockDim.x + threadIdx.x; i < len; i += (tn_index)gridDim.x * blockDim.x) {
        y[i] = T{};
    }
}
