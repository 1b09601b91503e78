/* BODY, a header, compiled for each level of instructions and both number types: delta.c and layers.c define BODY and
 * include this. The machine is asked when it runs which level it has: a wheel runs on any machine of its architecture.
 * (target_clones would do that too, but it needs ifunc, and no test could reach all clones.) Callers name a level, or
 * take the fastest. Neither -march=native nor -ffast-math: results of one level are the same on every machine that has
 * it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)

/* TILE_ROWS times 2 vectors of sums, 2 of the right factor and one number of the left have to fit the registers: 16 of
 * them up to AVX2, 32 with AVX-512. Measured: AVX2 is as fast as AVX-512, 16-byte vectors about half as fast. */
#define LEVEL portable
#define TARGET
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#include "level.h"

#if defined(__x86_64__)
#define LEVEL avx2
#define TARGET __attribute__((target("avx2,fma")))
#define VECTOR_BYTES 32
#define TILE_ROWS 4
#include "level.h"

#define LEVEL avx512
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define VECTOR_BYTES 64
#define TILE_ROWS 8
#include "level.h"
#endif

/* The fastest level that this machine runs: 0 portable, 1 AVX2, 2 AVX-512, the order of c_ops.LEVELS. */
int delta_level(void);

/* Calls run_LEVEL_float or run_LEVEL_double with the arguments: an expression with its result. */
#if defined(__x86_64__)
#define RUN(real_bytes, level, ...)                                                                                    \
    ((level) == 2   ? (real_bytes) == 4 ? run_avx512_float(__VA_ARGS__) : run_avx512_double(__VA_ARGS__)               \
     : (level) == 1 ? (real_bytes) == 4 ? run_avx2_float(__VA_ARGS__) : run_avx2_double(__VA_ARGS__)                   \
     : (real_bytes) == 4 ? run_portable_float(__VA_ARGS__)                                                             \
                         : run_portable_double(__VA_ARGS__))
#else
#define RUN(real_bytes, level, ...)                                                                                    \
    ((real_bytes) == 4 ? run_portable_float(__VA_ARGS__) : run_portable_double(__VA_ARGS__))
#endif
