/* The chunked delta rule and its gradient on one CPU core, float32 and float64: the library behind
 * train/kernels/c_ops.py. Plain C over the compiler's vector extension; no headers of Python or torch.
 *
 * lane.h is compiled for each level of instructions below, and the machine is asked when it runs which it has: a wheel
 * runs on any machine of its architecture. (target_clones would do that too, but it needs ifunc, and no test could
 * reach all clones.) Callers name a level, or take the fastest. Neither -march=native nor -ffast-math: results of one
 * level are the same on every machine that has it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 16   /* keys in a chunk: a column of the triangular solve then fits the registers of AVX-512 */
#define SEGMENT 4 /* chunks from one saved state to the next: with d = 64 every state took 1.3 times as long as this */
#define LINE 64   /* bytes in a cache line, what columns are padded to */

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")

/* Entries of two 16-byte vectors by constant indices. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t indices_4 __attribute__((vector_size(16)));
typedef int64_t indices_8 __attribute__((vector_size(16)));
#define INDICES_(bytes) indices_##bytes
#define INDICES(bytes) INDICES_(bytes)
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (INDICES(REAL_BYTES)){__VA_ARGS__})
#endif

/* Mirrored field by field in c_ops.py. Tensors are contiguous, with the shapes of train.kernels.delta.delta_rule;
 * decay is exp(log decay) and ddecay the gradient of the log decay. NULL: no decay, no initial state. */
struct delta_problem {
    int64_t batch, time, heads, key_dim, value_dim, per_step;
    double scale;
    const void *q, *k, *v, *beta, *decay, *initial;
    void *out, *state;
    void *states, *written; /* what forward keeps for backward, of the sizes that delta_saved tells, or NULL */
    const void *dout, *dstate;
    void *dq, *dk, *dv, *dbeta, *ddecay, *dinitial;
};

/* Sizes of a problem as lane.h works with them. A chunk has `steps` time steps with KEYS keys at most; `top` is `steps`
 * rounded up to a multiple of 4, the rows that a product takes at a time. `chunks` and `segments` count a lane's; the
 * widths of keys and values are padded to whole cache lines, so that every row starts on one. */
struct shape {
    long steps, top, chunks, segments, keys_padded, values_padded;
};

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

static struct shape shape_of(const struct delta_problem *p, int real_bytes)
{
    long line = LINE / real_bytes, steps = KEYS / p->per_step;
    long chunks = (p->time + steps - 1) / steps;
    return (struct shape){
        .steps = steps,
        .top = (steps + 3) / 4 * 4,
        .chunks = chunks,
        .segments = (chunks + SEGMENT - 1) / SEGMENT,
        .keys_padded = (p->key_dim + line - 1) / line * line,
        .values_padded = (p->value_dim + line - 1) / line * line,
    };
}

/* Raised with every change of what is called or stored, so that a library built from other sources is not used. */
int delta_version(void) { return 1; }

/* The largest number of keys in a time step, all of which have to be in one chunk. */
int delta_most_per_step(void) { return KEYS; }

/* The fastest level that this machine runs: 0 portable, 1 AVX2, 2 AVX-512, the order of c_ops.LEVELS. */
int delta_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

/* How many numbers of each lane `states` and `written` hold, for the caller to allocate them. */
void delta_saved(const struct delta_problem *p, int real_bytes, int64_t *states, int64_t *written)
{
    struct shape shape = shape_of(p, real_bytes);
    *states = shape.segments * shape.keys_padded * shape.values_padded;
    *written = shape.chunks * KEYS * shape.values_padded;
}

/* Runs one pass, forward or backward, over the lanes from first to last - 1, of batch * heads. Returns 1, or 0 if there
 * is no memory or the machine doesn't have the level (an instruction that it lacks would end the process).
 * Keeps nothing between calls: threads may run lanes of one problem side by side. */
int delta_run(const struct delta_problem *p, int real_bytes, int level, int backward, int64_t first, int64_t last)
{
    struct shape shape = shape_of(p, real_bytes);
    if (level > delta_level())
        return 0;
#if defined(__x86_64__)
    if (level == 2)
        return real_bytes == 4 ? run_avx512_float(p, &shape, backward, first, last)
                               : run_avx512_double(p, &shape, backward, first, last);
    if (level == 1)
        return real_bytes == 4 ? run_avx2_float(p, &shape, backward, first, last)
                               : run_avx2_double(p, &shape, backward, first, last);
#endif
    return real_bytes == 4 ? run_portable_float(p, &shape, backward, first, last)
                           : run_portable_double(p, &shape, backward, first, last);
}
