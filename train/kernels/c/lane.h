/* One lane, a head of a sequence: the chunked delta rule over its time steps and its gradient. level.h includes this
 * for each number type. The mathematics, and the names rows (R), scores, reads, written (U) and state (S), are those of
 * train/kernels/delta_chunks.py, with these differences:
 *
 * - A chunk has KEYS keys, and (I + A)^-1 is never formed: substitution runs in registers.
 * - Decays come as factors a_t = exp(log decay), and weights are running products of them, so nothing is exponentiated
 *   here and nothing divided. Rows are scaled after a product where that is the smaller matrix: diag(g) R S is
 *   diag(g) (R S).
 * - With `erase` keys erase along e and decays are by channel (channel_chunks.py): rows are scaled by the running
 *   products P of the decays and keys by 1 / P, so that a chunk is one without decay, whose state is scaled at its end.
 *   Callers see to it that no P is so small that 1 / P overflows.
 * - If a backward pass is to come, the forward pass keeps what keys write and the state before every SEGMENT-th chunk;
 *   the backward pass computes the other states again (keeping all took 1.3 times as long at d = 64).
 *
 * Matrices of a chunk have `top` rows for queries, of which the first `steps` are used, and KEYS rows for keys below
 * them. Rows and columns of padding are zero and add nothing: no loop of a product asks where the data end.
 */
#include "products.h"

/* The memory that a lane works in: matrices of one chunk, and the states of one segment in `state`. It is allocated
 * once for all lanes of a call and stays in the cache of the core. */
struct NAME(scratch) {
    REAL *rows, *keys, *keys_transposed, *scores, *weights, *state, *written, *kept, *reads, *values;
    REAL *state_transposed, *dstate, *dstate_transposed, *written_transposed, *dscores, *dwritten, *drows, *dkeys;
    REAL *to_rows, *from_keys, *betas, *products, *dlast, *block;
};

/* Allocates all matrices in one block, each from a cache line on and zeroed once: padding is never written after that,
 * but by zeros. Returns 0 if there is no memory. */
static int NAME(allocate)(struct NAME(scratch) *s, const struct shape *shape)
{
    /* `wide`: matrices that hold keys at one time may hold values at another. */
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
        {&s->products, KEYS * shape->keys_padded},
        {&s->dlast, shape->keys_padded},
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

/* Scales the rows and keys of a chunk by the decays of each channel: products has P, a row for each time step. */
static TARGET void NAME(scale_channels)(struct NAME(scratch) *s, const struct delta_problem *p,
                                        const struct shape *shape, long batch, long head, long step)
{
    long padded = shape->keys_padded, per_step = p->per_step;
    for (long t = 0; t < shape->steps; t++) {
        REAL *row = s->products + t * padded;
        const REAL *decay = (const REAL *)p->decay + ((batch * p->time + step + t) * p->heads + head) * p->key_dim;
        for (long x = 0; x < padded; x++)
            row[x] = (t ? row[x - padded] : 1) * (step + t < p->time && x < p->key_dim ? decay[x] : 1);
        for (long x = 0; x < padded; x += LANES) {
            VECTOR by = LOAD(row + x);
            STORE(s->rows + t * padded + x, LOAD(s->rows + t * padded + x) * by);
            for (long j = t * per_step; j < (t + 1) * per_step; j++) {
                REAL *bottom = s->rows + (shape->top + j) * padded + x, *key = s->keys + j * padded + x;
                STORE(bottom, LOAD(bottom) * by);
                STORE(key, LOAD(key) / by);
            }
        }
    }
}

/* Scales the rows of a state, or of its gradient, by the decay of their channels over the chunk. */
static TARGET void NAME(scale_state)(struct NAME(scratch) *s, const struct shape *shape, REAL *state)
{
    const REAL *last = s->products + (shape->steps - 1) * shape->keys_padded;
    for (long i = 0; i < shape->keys_padded; i++)
        NAME(scaled)(state + i * shape->values_padded, state + i * shape->values_padded, last[i],
                     shape->values_padded);
}

/* Copies the chunk that begins at time step `step` into the scratch: rows = [scale q ; beta k] and keys = k, or with
 * `erase` e in the place of beta k. Beyond the sequence's end all are zero: a key with beta 0 writes nothing, and a query
 * of zeros reads zeros. */
static TARGET void NAME(pack)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                              long batch, long head, long step)
{
    long width = p->key_dim, padded = shape->keys_padded, per_step = p->per_step;
    long left = p->time - step, steps = left < shape->steps ? left : shape->steps;
    const REAL *q = (const REAL *)p->q + ((batch * p->time + step) * p->heads + head) * width;
    long first = (batch * p->time + step) * per_step * p->heads + head;
    const REAL *k = (const REAL *)p->k + first * width, *beta = p->beta == NULL ? NULL : (const REAL *)p->beta + first;
    const REAL *erase = p->erase == NULL ? NULL : (const REAL *)p->erase + first * width;
    for (long i = 0; i < steps; i++)
        NAME(scaled)(s->rows + i * padded, q + i * p->heads * width, (REAL)p->scale, width);
    if (steps < shape->top)
        memset(s->rows + steps * padded, 0, (size_t)((shape->top - steps) * padded) * REAL_BYTES);
    REAL *bottom = s->rows + shape->top * padded;
    for (long j = 0; j < KEYS; j++) {
        if (j < steps * per_step) {
            const REAL *key = k + j * p->heads * width;
            s->betas[j] = erase != NULL ? 1 : beta[j * p->heads];
            NAME(scaled)(s->keys + j * padded, key, 1, width);
            NAME(scaled)(bottom + j * padded, erase != NULL ? erase + j * p->heads * width : key, s->betas[j], width);
        } else {
            s->betas[j] = 0;
            memset(s->keys + j * padded, 0, (size_t)padded * REAL_BYTES);
            memset(bottom + j * padded, 0, (size_t)padded * REAL_BYTES);
        }
    }
    if (erase != NULL)
        NAME(scale_channels)(s, p, shape, batch, head, step);
}

/* Fills weights, to_rows and from_keys for the chunk at `step`, and returns the factor by which the state decays over
 * the chunk. With a_t the decay of step t, the weight of row i and key j is the product of a_t from the step after j's
 * to i's, 0 where the mask is: it is made row by row, each from the one above it. Without decay all factors are 1 and
 * weights are the mask, so that one call serves every chunk. */
static TARGET REAL NAME(weigh)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                               long batch, long head, long step)
{
    const REAL *decay = p->erase == NULL ? p->decay : NULL;
    REAL factors[KEYS];
    for (long i = 0; i < shape->steps; i++)
        factors[i] = decay != NULL && step + i < p->time
                         ? decay[(batch * p->time + step + i) * p->heads + head]
                         : 1;
    REAL *weights = s->weights, running = 1;
    for (long i = 0; i < shape->top; i++) {
        REAL factor = i < shape->steps ? factors[i] : 1; /* rows from `steps` to `top` are padding */
        for (long j = 0; j < KEYS; j++) {
            long of = j / p->per_step;
            weights[i * KEYS + j] = of < i ? weights[(i - 1) * KEYS + j] * factor : of == i;
        }
        running *= factor;
        s->to_rows[i] = running;
    }
    /* A key decays like the query of its own time step, and meets the keys before it alone. */
    for (long i = 0; i < KEYS; i++) {
        long of = i / p->per_step < shape->steps ? i / p->per_step : shape->steps - 1;
        for (long j = 0; j < KEYS; j++)
            weights[(shape->top + i) * KEYS + j] = j < i ? weights[of * KEYS + j] : 0;
        s->to_rows[shape->top + i] = s->to_rows[of];
        s->from_keys[i] = weights[(shape->steps - 1) * KEYS + i];
    }
    return running;
}

/* scores = (rows keys^T) * weights, [top + KEYS, KEYS]. Below `top` stands A of the solve. */
static TARGET void NAME(score)(struct NAME(scratch) *s, const struct shape *shape)
{
    long padded = shape->keys_padded, rows = shape->top + KEYS;
    NAME(transpose)(s->keys_transposed, s->keys, KEYS, padded);
    NAME(product)(s->scores, KEYS, s->rows, padded, 1, s->keys_transposed, KEYS, rows, KEYS, padded, 0);
    for (long x = 0; x < rows * KEYS; x += LANES)
        STORE(s->scores + x, LOAD(s->scores + x) * LOAD(s->weights + x));
}

/* The state after a chunk: after = keep * state + keys^T diag(from_keys) written. `after` may be `state` itself. */
static TARGET void NAME(advance)(struct NAME(scratch) *s, const struct shape *shape, const REAL *state, REAL *after,
                                 const REAL *written, REAL keep, int gated)
{
    long keys = shape->keys_padded, values = shape->values_padded;
    if (gated) {
        for (long j = 0; j < KEYS; j++)
            NAME(scaled)(s->kept + j * values, written + j * values, s->from_keys[j], values);
        written = s->kept;
    }
    /* Without decay and in place there is nothing to scale or copy: the product adds to the state. */
    if (gated || after != state)
        for (long x = 0; x < keys * values; x += LANES)
            STORE(after + x, keep * LOAD(state + x));
    NAME(product)(after, values, s->keys, 1, keys, written, values, keys, values, KEYS, 1);
}

/* The forward pass over one lane. For each chunk: pack, score, reads = (R S) scaled, then U = (I + A)^-1 (beta V -
 * lower reads) by substitution, out = upper reads + upper scores U, and the next state. */
static TARGET void NAME(forward)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                                 long lane)
{
    long batch = lane / p->heads, head = lane % p->heads, width = p->value_dim;
    long keys = shape->keys_padded, values = shape->values_padded, top = shape->top;
    int channels = p->erase != NULL, gated = p->decay != NULL && !channels;
    REAL *state = s->state, keep = 1;
    memset(state, 0, (size_t)(keys * values) * REAL_BYTES);
    for (long i = 0; i < p->key_dim && p->initial != NULL; i++)
        NAME(scaled)(state + i * values, (const REAL *)p->initial + (lane * p->key_dim + i) * width, 1, width);
    if (!gated)
        NAME(weigh)(s, p, shape, batch, head, 0);
    for (long chunk = 0; chunk < shape->chunks; chunk++) {
        long step = chunk * shape->steps, left = p->time - step, steps = left < shape->steps ? left : shape->steps;
        /* dwritten is free in this pass: it holds U where no backward pass needs it */
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
        /* the right side of the solve */
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
        if (channels)
            NAME(scale_state)(s, shape, state);
    }
    for (long i = 0; i < p->key_dim; i++)
        NAME(scaled)((REAL *)p->state + (lane * p->key_dim + i) * width, state + i * values, 1, width);
}

/* The gradient of the log decays of one chunk. A factor exp(x) of a product adds (the product) * (its gradient) to the
 * gradient of x, and every x here is a difference of cumulative log decays G: scores have G_row - G_key, reads G_row,
 * what keys leave in the state G_end - G_key, and the state G_end. at_steps collects the gradients of G by time step;
 * the gradient of a step's own log decay is their sum from that step to the end, kept in `running`.
 * Called while drows and dkeys hold the parts that decay, before the gradients of the scores are added to them. */
static TARGET void NAME(decay_gradient)(struct NAME(scratch) *s, const struct delta_problem *p,
                                        const struct shape *shape, long batch, long head, long step, const REAL *state,
                                        REAL keep)
{
    long keys = shape->keys_padded, top = shape->top, per_step = p->per_step;
    REAL at_steps[KEYS] = {0}, running = keep * NAME(dot)(state, s->dstate, keys * shape->values_padded);
    for (long i = 0; i < top + KEYS; i++) {
        long of = i < top ? i : (i - top) / per_step;
        if (of >= shape->steps) /* padding */
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

/* Writes the gradients of a chunk's q, k, v and beta from those of rows, keys and beta v (in dwritten): the lower rows
 * are beta k, so that their gradient goes to both, as that of beta v does to beta and v. */
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

/* The same with `erase`: of q, e, k, v and of the log decays by channel. Each vector comes with P or 1 / P, so that the
 * gradient of log P is the vector times its own gradient; dlast has that of the state's at the chunk's end. */
static TARGET void NAME(unpack_channels)(struct NAME(scratch) *s, const struct delta_problem *p,
                                         const struct shape *shape, long batch, long head, long step, long steps)
{
    long keys = shape->keys_padded, values = shape->values_padded, width = p->key_dim;
    for (long t = steps - 1; t >= 0; t--) {
        long q_at = (batch * p->time + step + t) * p->heads + head;
        const REAL *by = s->products + t * keys, *row = s->rows + t * keys;
        REAL *drow = s->drows + t * keys;
        for (long x = 0; x < keys; x += LANES) {
            VECTOR dlog = LOAD(s->dlast + x) + LOAD(row + x) * LOAD(drow + x);
            STORE(drow + x, LOAD(drow + x) * LOAD(by + x));
            for (long j = t * p->per_step; j < (t + 1) * p->per_step; j++) {
                const REAL *erase = s->rows + (shape->top + j) * keys + x, *key = s->keys + j * keys + x;
                REAL *derase = s->drows + (shape->top + j) * keys + x, *dkey = s->dkeys + j * keys + x;
                dlog += LOAD(erase) * LOAD(derase) - LOAD(key) * LOAD(dkey);
                STORE(derase, LOAD(derase) * LOAD(by + x));
                STORE(dkey, LOAD(dkey) / LOAD(by + x));
            }
            STORE(s->dlast + x, dlog);
        }
        NAME(scaled)((REAL *)p->dq + q_at * width, drow, (REAL)p->scale, width);
        NAME(scaled)((REAL *)p->ddecay + q_at * width, s->dlast, 1, width);
        for (long j = t * p->per_step; j < (t + 1) * p->per_step; j++) {
            long at = ((batch * p->time + step) * p->per_step + j) * p->heads + head;
            NAME(scaled)((REAL *)p->derase + at * width, s->drows + (shape->top + j) * keys, 1, width);
            NAME(scaled)((REAL *)p->dk + at * width, s->dkeys + j * keys, 1, width);
            NAME(scaled)((REAL *)p->dv + at * p->value_dim, s->dwritten + j * values, 1, p->value_dim);
        }
    }
}

/* The backward pass over one lane, from the last chunk to the first. dstate is the gradient of the state after the
 * chunk at hand, first that of the final state, at the end that of the initial one. For each chunk: the state before
 * it, dU = (I + A)^-T (keys dstate + upper scores^T dout), from it the gradients of reads and scores, of rows and keys,
 * of q, k, v and beta, and then dstate before the chunk. */
static TARGET void NAME(backward)(struct NAME(scratch) *s, const struct delta_problem *p, const struct shape *shape,
                                  long lane)
{
    long batch = lane / p->heads, head = lane % p->heads, width = p->value_dim;
    long keys = shape->keys_padded, values = shape->values_padded, top = shape->top, rows = top + KEYS;
    int channels = p->erase != NULL, gated = p->decay != NULL && !channels;
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
        /* At the last chunk of a segment, compute its states again from the one that was kept: s->state then has the
         * states before each of its chunks, and the following chunks find theirs there. */
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
                if (channels)
                    NAME(scale_state)(s, shape, s->state + (i + 1) * keys * values);
            }
        }
        const REAL *state = s->state + within * keys * values;
        NAME(pack)(s, p, shape, batch, head, step);
        if (gated)
            keep = NAME(weigh)(s, p, shape, batch, head, step);
        NAME(score)(s, shape);
        if (channels) /* from here on the chunk is one without decay */
            NAME(scale_state)(s, shape, s->dstate);

        /* From here on s->reads holds the gradient of the reads: that of out on top, minus that of beta v below. */
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

        /* Products run along the rows of their right factor: what stands transposed there is transposed first. */
        NAME(transpose)(s->written_transposed, written, KEYS, values);
        NAME(product)(s->dscores, KEYS, s->reads, values, 1, s->written_transposed, KEYS, rows, KEYS, values, 0);
        /* dscores is computed before the rows of reads are scaled: only reads decay from the chunk's start. */
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
        for (long i = 0; i < keys && channels; i++) {
            s->dlast[i] = NAME(dot)(state + i * values, s->dstate + i * values, values);
            for (long j = 0; j < KEYS; j++)
                s->dlast[i] += s->keys[j * keys + i] * s->dkeys[j * keys + i];
        }
        if (gated)
            NAME(decay_gradient)(s, p, shape, batch, head, step, state, keep);
        for (long x = 0; x < rows * KEYS; x += LANES)
            STORE(s->dscores + x, LOAD(s->dscores + x) * LOAD(s->weights + x));
        NAME(product)(s->drows, keys, s->dscores, KEYS, 1, s->keys, keys, rows, keys, KEYS, 1);
        NAME(product)(s->dkeys, keys, s->dscores, 1, KEYS, s->rows, keys, KEYS, keys, rows, 1);
        if (channels)
            NAME(unpack_channels)(s, p, shape, batch, head, step, steps);
        else
            NAME(unpack)(s, p, shape, batch, head, step, steps);

        if (gated)
            NAME(scaled)(s->dstate, s->dstate, keep, keys * values);
        NAME(product)(s->dstate, values, s->rows, 1, keys, s->reads, values, keys, values, rows, 1);
    }
    for (long i = 0; i < p->key_dim && p->dinitial != NULL; i++)
        NAME(scaled)((REAL *)p->dinitial + (lane * p->key_dim + i) * width, s->dstate + i * values, 1, width);
}

/* Runs one pass over the lanes from first to last - 1; returns 0 if there is no memory. */
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
