/* One lane, a head of a sequence: the chunked delta rule over its time steps and its gradient. level.h includes this
 * for each number type. The mathematics is that of train/kernels/delta_chunks.py, with these
 * differences:
 *
 * - A chunk holds KEYS keys, and (I + A)^-1 is never formed: substitution runs in registers.
 * - Decays come as factors a_t = exp(log decay), and weights are running products of them, so nothing is exponentiated
 *   here and nothing divided. Rows of a factor are scaled where it is shorter: diag(g) R S is diag(g) (R S).
 * - The forward pass keeps what keys write and the state before every SEGMENT-th chunk, where a backward pass is to
 *   come; that makes the rest again.
 */
#include "products.h"

/* What a lane works in; `top` rows belong to queries, the KEYS below them to keys. All are zero-padded. */
struct NAME(scratch) {
    REAL *rows, *keys, *keys_transposed, *scores, *weights, *state, *written, *kept, *reads, *values;
    REAL *state_transposed, *dstate, *dstate_transposed, *written_transposed, *dscores, *dwritten, *drows, *dkeys;
    REAL *to_rows, *from_keys, *betas, *block;
};

static int NAME(allocate)(struct NAME(scratch) *s, const struct shape *shape)
{
    long rows = shape->top + KEYS, states = shape->keys_padded * shape->values_padded;
    long wide = shape->keys_padded > shape->values_padded ? shape->keys_padded : shape->values_padded;
    struct {
        REAL **at;
        long count;
    } parts[] = {
        {&s->rows, rows * wide},
        {&s->keys, KEYS * wide},
        {&s->keys_transposed, KEYS * wide},
        {&s->scores, rows * KEYS},
        {&s->weights, rows * KEYS},
        {&s->state, SEGMENT * states},
        {&s->written, KEYS * wide},
        {&s->kept, KEYS * wide},
        {&s->reads, rows * wide},
        {&s->values, KEYS * wide},
        {&s->state_transposed, states},
        {&s->dstate, states},
        {&s->dstate_transposed, states},
        {&s->written_transposed, KEYS * wide},
        {&s->dscores, rows * KEYS},
        {&s->dwritten, KEYS * wide},
        {&s->drows, rows * wide},
        {&s->dkeys, KEYS * wide},
        {&s->to_rows, 2 * KEYS},
        {&s->from_keys, KEYS},
        {&s->betas, KEYS},
    };
    long count = 0, line = LINE / REAL_BYTES;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        count += (parts[i].count + line - 1) / line * line;
    s->block = aligned_alloc(LINE, (size_t)count * REAL_BYTES);
    if (s->block == NULL)
        return 0;
    memset(s->block, 0, (size_t)count * REAL_BYTES);
    REAL *next = s->block;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].at = next;
        next += (parts[i].count + line - 1) / line * line;
    }
    return 1;
}

/* Copies a chunk's q, k and beta into rows and keys; what lies past the end is zero, and writes and reads nothing. */
static TARGET void NAME(pack)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                              long batch, long head, long step)
{
    long width = p->key_dim, padded = shape->keys_padded, per_step = p->per_step;
    long left = p->time - step, steps = left < shape->steps ? left : shape->steps;
    const REAL *q = (const REAL *)p->q + ((batch * p->time + step) * p->heads + head) * width;
    long first = (batch * p->time + step) * per_step * p->heads + head;
    const REAL *k = (const REAL *)p->k + first * width, *beta = (const REAL *)p->beta + first;
    for (long i = 0; i < steps; i++)
        NAME(scaled)(s->rows + i * padded, q + i * p->heads * width, (REAL)p->scale, width);
    if (steps < shape->top)
        memset(s->rows + steps * padded, 0, (size_t)((shape->top - steps) * padded) * REAL_BYTES);
    REAL *bottom = s->rows + shape->top * padded;
    for (long j = 0; j < KEYS; j++) {
        if (j < steps * per_step) {
            const REAL *key = k + j * p->heads * width;
            s->betas[j] = beta[j * p->heads];
            NAME(scaled)(s->keys + j * padded, key, 1, width);
            NAME(scaled)(bottom + j * padded, key, s->betas[j], width);
        } else {
            s->betas[j] = 0;
            memset(s->keys + j * padded, 0, (size_t)padded * REAL_BYTES);
            memset(bottom + j * padded, 0, (size_t)padded * REAL_BYTES);
        }
    }
}

/* Fills weights, to_rows and from_keys for the chunk at `step`, and returns what the whole chunk keeps of the state.
 * Without decay all factors are 1 and weights are the mask: one call serves every chunk. */
static TARGET REAL NAME(weigh)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                               long batch, long head, long step)
{
    const REAL *decay = p->decay;
    REAL factors[KEYS];
    for (long i = 0; i < shape->steps; i++)
        factors[i] = decay != NULL && step + i < p->time
                         ? decay[(batch * p->time + step + i) * p->heads + head]
                         : 1;
    REAL *weights = s->weights, running = 1;
    for (long i = 0; i < shape->top; i++) {
        REAL factor = i < shape->steps ? factors[i] : 1;
        for (long j = 0; j < KEYS; j++) {
            long of = j / p->per_step;
            weights[i * KEYS + j] = of < i ? weights[(i - 1) * KEYS + j] * factor : of == i;
        }
        running *= factor;
        s->to_rows[i] = running;
    }
    for (long i = 0; i < KEYS; i++) {
        long of = i / p->per_step < shape->steps ? i / p->per_step : shape->steps - 1;
        for (long j = 0; j < KEYS; j++)
            weights[(shape->top + i) * KEYS + j] = j < i ? weights[of * KEYS + j] : 0;
        s->to_rows[shape->top + i] = s->to_rows[of];
        s->from_keys[i] = weights[(shape->steps - 1) * KEYS + i];
    }
    return running;
}

/* scores = (rows keys^T) * weights. */
static TARGET void NAME(score)(struct NAME(scratch) *s, const struct shape *shape)
{
    long padded = shape->keys_padded, rows = shape->top + KEYS;
    NAME(transpose)(s->keys_transposed, s->keys, KEYS, padded);
    NAME(product)(s->scores, KEYS, s->rows, padded, 1, s->keys_transposed, KEYS, rows, KEYS, padded, 0);
    for (long x = 0; x < rows * KEYS; x += LANES)
        STORE(s->scores + x, LOAD(s->scores + x) * LOAD(s->weights + x));
}

/* state <- keep * state + keys^T diag(from_keys) written, from `state` into `after`. */
static TARGET void NAME(advance)(struct NAME(scratch) *s, const struct shape *shape, const REAL *state, REAL *after,
                                 const REAL *written, REAL keep, int gated)
{
    long keys = shape->keys_padded, values = shape->values_padded;
    if (gated) {
        for (long j = 0; j < KEYS; j++)
            NAME(scaled)(s->kept + j * values, written + j * values, s->from_keys[j], values);
        written = s->kept;
    }
    if (gated || after != state)
        for (long x = 0; x < keys * values; x += LANES)
            STORE(after + x, keep * LOAD(state + x));
    NAME(product)(after, values, s->keys, 1, keys, written, values, keys, values, KEYS, 1);
}

static TARGET void NAME(forward)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                                 long lane)
{
    long batch = lane / p->heads, head = lane % p->heads, width = p->value_dim;
    long keys = shape->keys_padded, values = shape->values_padded, top = shape->top;
    int gated = p->decay != NULL;
    REAL *state = s->state, keep = 1;
    memset(state, 0, (size_t)(keys * values) * REAL_BYTES);
    for (long i = 0; i < p->key_dim && p->initial != NULL; i++)
        NAME(scaled)(state + i * values, (const REAL *)p->initial + (lane * p->key_dim + i) * width, 1, width);
    if (!gated)
        NAME(weigh)(s, p, shape, batch, head, 0);
    for (long chunk = 0; chunk < shape->chunks; chunk++) {
        long step = chunk * shape->steps, left = p->time - step, steps = left < shape->steps ? left : shape->steps;
        REAL *written = s->dwritten;
        if (p->written != NULL)
            written = (REAL *)p->written + (lane * shape->chunks + chunk) * KEYS * values;
        if (p->states != NULL && chunk % SEGMENT == 0)
            memcpy((REAL *)p->states + (lane * shape->segments + chunk / SEGMENT) * keys * values, state,
                   (size_t)(keys * values) * REAL_BYTES);
        NAME(pack)(s, p, shape, batch, head, step);
        if (gated)
            keep = NAME(weigh)(s, p, shape, batch, head, step);
        NAME(score)(s, shape);
        NAME(product)(s->reads, values, s->rows, keys, 1, state, values, top + KEYS, values, keys, 0);
        for (long i = 0; i < top + KEYS && gated; i++)
            NAME(scaled)(s->reads + i * values, s->reads + i * values, s->to_rows[i], values);
        const REAL *v = (const REAL *)p->v + ((batch * p->time + step) * p->per_step * p->heads + head) * width;
        for (long j = 0; j < KEYS; j++) {
            if (j < steps * p->per_step)
                NAME(scaled)(s->values + j * values, v + j * p->heads * width, s->betas[j], width);
            else
                memset(s->values + j * values, 0, (size_t)values * REAL_BYTES);
            for (long x = 0; x < values; x += LANES)
                STORE(written + j * values + x,
                      LOAD(s->values + j * values + x) - LOAD(s->reads + (top + j) * values + x));
        }
        NAME(solve)(written, values, s->scores + top * KEYS);
        NAME(product)(s->reads, values, s->scores, KEYS, 1, written, values, top, values, KEYS, 1);
        REAL *out = (REAL *)p->out + ((batch * p->time + step) * p->heads + head) * width;
        for (long i = 0; i < steps; i++)
            NAME(scaled)(out + i * p->heads * width, s->reads + i * values, 1, width);
        NAME(advance)(s, shape, state, state, written, keep, gated);
    }
    for (long i = 0; i < p->key_dim; i++)
        NAME(scaled)((REAL *)p->state + (lane * p->key_dim + i) * width, state + i * values, 1, width);
}

/* The decay's gradient over one chunk: that of the cumulative log decay at every row, summed from the end. */
static TARGET void NAME(decay_gradient)(struct NAME(scratch) *s, const struct delta_problem *p,
                                        const struct shape *shape, long batch, long head, long step, const REAL *state,
                                        REAL keep)
{
    long keys = shape->keys_padded, top = shape->top, per_step = p->per_step;
    REAL at_steps[KEYS] = {0}, running = keep * NAME(dot)(state, s->dstate, keys * shape->values_padded);
    for (long i = 0; i < top + KEYS; i++) {
        long of = i < top ? i : (i - top) / per_step;
        if (of >= shape->steps)
            continue;
        REAL at = NAME(dot)(s->drows + i * keys, s->rows + i * keys, keys);
        for (long j = 0; j < KEYS; j++) {
            REAL by_score = s->dscores[i * KEYS + j] * s->scores[i * KEYS + j];
            long key = j / per_step;
            at += by_score;
            if (key < shape->steps)
                at_steps[key] -= by_score;
        }
        at_steps[of] += at;
    }
    for (long j = 0; j < KEYS; j++) {
        REAL by_key = NAME(dot)(s->dkeys + j * keys, s->keys + j * keys, keys);
        if (j / per_step < shape->steps) {
            running += by_key;
            at_steps[j / per_step] -= by_key;
        }
    }
    REAL *ddecay = (REAL *)p->ddecay + (batch * p->time + step) * p->heads + head;
    for (long i = shape->steps - 1; i >= 0; i--) {
        running += at_steps[i];
        if (step + i < p->time)
            ddecay[i * p->heads] = running;
    }
}

/* Writes the gradients of a chunk's q, k, v and beta from those of rows, keys and beta v (in dwritten). */
static TARGET void NAME(unpack)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                                long batch, long head, long step, long steps)
{
    long keys = shape->keys_padded, values = shape->values_padded;
    long q_at = (batch * p->time + step) * p->heads + head;
    long k_at = (batch * p->time + step) * p->per_step * p->heads + head;
    for (long i = 0; i < steps; i++)
        NAME(scaled)((REAL *)p->dq + (q_at + i * p->heads) * p->key_dim, s->drows + i * keys, (REAL)p->scale,
                     p->key_dim);
    for (long j = 0; j < steps * p->per_step; j++) {
        long at = k_at + j * p->heads;
        const REAL *v = (const REAL *)p->v + at * p->value_dim;
        REAL *scaled = s->drows + (shape->top + j) * keys, *key = s->keys + j * keys, *dkey = s->dkeys + j * keys;
        REAL *value = s->dwritten + j * values, beta = s->betas[j];
        ((REAL *)p->dbeta)[at] = NAME(dot)(scaled, key, keys) + NAME(dot)(value, v, p->value_dim);
        NAME(scaled)((REAL *)p->dv + at * p->value_dim, value, beta, p->value_dim);
        for (long x = 0; x < keys; x += LANES)
            STORE(dkey + x, LOAD(dkey + x) + beta * LOAD(scaled + x));
        NAME(scaled)((REAL *)p->dk + at * p->key_dim, dkey, 1, p->key_dim);
    }
}

static TARGET void NAME(backward)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                                  long lane)
{
    long batch = lane / p->heads, head = lane % p->heads, width = p->value_dim;
    long keys = shape->keys_padded, values = shape->values_padded, top = shape->top, rows = top + KEYS;
    int gated = p->decay != NULL;
    REAL keep = 1;
    memset(s->dstate, 0, (size_t)(keys * values) * REAL_BYTES);
    for (long i = 0; i < p->key_dim; i++)
        NAME(scaled)(s->dstate + i * values, (const REAL *)p->dstate + (lane * p->key_dim + i) * width, 1, width);
    if (!gated)
        NAME(weigh)(s, p, shape, batch, head, 0);
    for (long chunk = shape->chunks - 1; chunk >= 0; chunk--) {
        long step = chunk * shape->steps, left = p->time - step, steps = left < shape->steps ? left : shape->steps;
        const REAL *all_written = (const REAL *)p->written + lane * shape->chunks * KEYS * values;
        const REAL *written = all_written + chunk * KEYS * values;
        long within = chunk % SEGMENT;
        if (within == SEGMENT - 1 || chunk == shape->chunks - 1) {
            memcpy(s->state, (const REAL *)p->states + (lane * shape->segments + chunk / SEGMENT) * keys * values,
                   (size_t)(keys * values) * REAL_BYTES);
            for (long i = 0; i < within; i++) {
                long earlier = chunk - within + i;
                NAME(pack)(s, p, shape, batch, head, earlier * shape->steps);
                if (gated)
                    keep = NAME(weigh)(s, p, shape, batch, head, earlier * shape->steps);
                NAME(advance)(s, shape, s->state + i * keys * values, s->state + (i + 1) * keys * values,
                              all_written + earlier * KEYS * values, keep, gated);
            }
        }
        const REAL *state = s->state + within * keys * values;
        NAME(pack)(s, p, shape, batch, head, step);
        if (gated)
            keep = NAME(weigh)(s, p, shape, batch, head, step);
        NAME(score)(s, shape);

        /* reads holds the gradient of the reads: that of out on top, minus that of beta v below. */
        const REAL *dout = (const REAL *)p->dout + ((batch * p->time + step) * p->heads + head) * width;
        for (long i = 0; i < steps; i++)
            NAME(scaled)(s->reads + i * values, dout + i * p->heads * width, 1, width);
        if (steps < top)
            memset(s->reads + steps * values, 0, (size_t)((top - steps) * values) * REAL_BYTES);
        NAME(product)(s->dwritten, values, s->keys, keys, 1, s->dstate, values, KEYS, values, keys, 0);
        for (long j = 0; j < KEYS && gated; j++)
            NAME(scaled)(s->dwritten + j * values, s->dwritten + j * values, s->from_keys[j], values);
        NAME(product)(s->dwritten, values, s->scores, 1, KEYS, s->reads, values, KEYS, values, top, 1);
        NAME(solve_transposed)(s->dwritten, values, s->scores + top * KEYS);
        NAME(scaled)(s->reads + top * values, s->dwritten, -1, KEYS * values);

        NAME(transpose)(s->written_transposed, written, KEYS, values);
        NAME(product)(s->dscores, KEYS, s->reads, values, 1, s->written_transposed, KEYS, rows, KEYS, values, 0);
        const REAL *kept = written;
        if (gated) {
            for (long i = 0; i < rows; i++)
                NAME(scaled)(s->reads + i * values, s->reads + i * values, s->to_rows[i], values);
            for (long j = 0; j < KEYS; j++)
                NAME(scaled)(s->kept + j * values, written + j * values, s->from_keys[j], values);
            kept = s->kept;
        }
        NAME(transpose)(s->state_transposed, state, keys, values);
        NAME(transpose)(s->dstate_transposed, s->dstate, keys, values);
        NAME(product)(s->drows, keys, s->reads, values, 1, s->state_transposed, keys, rows, keys, values, 0);
        NAME(product)(s->dkeys, keys, kept, values, 1, s->dstate_transposed, keys, KEYS, keys, values, 0);
        if (gated)
            NAME(decay_gradient)(s, p, shape, batch, head, step, state, keep);
        for (long x = 0; x < rows * KEYS; x += LANES)
            STORE(s->dscores + x, LOAD(s->dscores + x) * LOAD(s->weights + x));
        NAME(product)(s->drows, keys, s->dscores, KEYS, 1, s->keys, keys, rows, keys, KEYS, 1);
        NAME(product)(s->dkeys, keys, s->dscores, 1, KEYS, s->rows, keys, KEYS, keys, rows, 1);
        NAME(unpack)(s, p, shape, batch, head, step, steps);

        if (gated)
            NAME(scaled)(s->dstate, s->dstate, keep, keys * values);
        NAME(product)(s->dstate, values, s->rows, 1, keys, s->reads, values, keys, values, rows, 1);
    }
    for (long i = 0; i < p->key_dim && p->dinitial != NULL; i++)
        NAME(scaled)((REAL *)p->dinitial + (lane * p->key_dim + i) * width, s->dstate + i * values, 1, width);
}

static int NAME(run)(const struct delta_problem *p, const struct shape *shape, int backward, long first, long last)
{
    struct NAME(scratch) s;
    if (!NAME(allocate)(&s, shape))
        return 0;
    for (long lane = first; lane < last; lane++) {
        if (backward)
            NAME(backward)(&s, p, shape, lane);
        else
            NAME(forward)(&s, p, shape, lane);
    }
    free(s.block);
    return 1;
}

#undef VECTOR
#undef LANES
#undef LOAD
#undef STORE
