/* The chunked delta rule and its gradient on one CPU core, float32 and float64: one half of the library behind
 * train/kernels/c_ops.py, whose other half is layers.c. Plain C over the compiler's vector extension; no headers of
 * Python or torch.
 */
#include <stdint.h>

#define KEYS 16   /* keys in a chunk: a column of the triangular solve then fits the registers of AVX-512 */
#define SEGMENT 4 /* chunks from one saved state to the next: with d = 64 every state took 1.3 times as long as this */
#define LINE 64   /* bytes in a cache line, what columns are padded to */

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
 * decay is exp(log decay) and ddecay the gradient of the log decay. NULL: no decay, no initial state. With erase, of k's
 * shape, beta is NULL, v is what keys write, and decay has q's shape, as in train.kernels.channel_delta. */
struct delta_problem {
    int64_t batch, time, heads, key_dim, value_dim, per_step;
    double scale;
    const void *q, *k, *v, *beta, *erase, *decay, *initial;
    void *out, *state;
    void *states, *written; /* what forward keeps for backward, of the sizes that delta_saved tells, or NULL */
    const void *dout, *dstate;
    void *dq, *dk, *dv, *dbeta, *derase, *ddecay, *dinitial;
};

/* Sizes of a problem as lane.h works with them. A chunk has `steps` time steps with KEYS keys at most; `top` is `steps`
 * rounded up to a multiple of 4, the rows that a product takes at a time. `chunks` and `segments` count a lane's; the
 * widths of keys and values are padded to whole cache lines, so that every row starts on one. */
struct shape {
    long steps, top, chunks, segments, keys_padded, values_padded;
};

#define BODY "lane.h"
#include "levels.h"

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
int delta_version(void) { return 3; }

/* The largest number of keys in a time step, all of which have to be in one chunk. */
int delta_most_per_step(void) { return KEYS; }

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
    return RUN(real_bytes, level, p, &shape, backward, first, last);
}
