/* The operations of layers.c, written once for every number type and level. Widths are any: what is left of a row after
 * whole vectors is copied into one that is padded with zeros.
 */
#include "vectors.h"

#define FLOATS (REAL_BYTES == 4)

#if REAL_BYTES == 4
typedef int32_t NAME(integer);
#else
typedef int64_t NAME(integer);
#endif
typedef NAME(integer) NAME(integers) __attribute__((vector_size(VECTOR_BYTES)));
#define INTEGERS NAME(integers)

/* Up to LANES numbers from memory, zeros after them; and back. */
INLINE TARGET VECTOR NAME(load)(const REAL *from, long count)
{
    if (count >= LANES)
        return LOAD(from);
    VECTOR v = {0};
    memcpy(&v, from, (size_t)count * REAL_BYTES);
    return v;
}

INLINE TARGET void NAME(store)(REAL *to, VECTOR v, long count)
{
    if (count >= LANES)
        STORE(to, v);
    else
        memcpy(to, &v, (size_t)count * REAL_BYTES);
}

INLINE TARGET VECTOR NAME(all)(REAL x)
{
    return x - (VECTOR){0};
}

/* x where mask is ~0, y where it is 0: C has no ?: of vectors everywhere. */
INLINE TARGET VECTOR NAME(chosen)(INTEGERS mask, VECTOR x, VECTOR y)
{
    return (VECTOR)(((INTEGERS)x & mask) | ((INTEGERS)y & ~mask));
}

/* exp(x), to about one unit of the last place, with x held in the range where neither it nor its inverse overflows; NaN
 * stays NaN. x = n log 2 + r with |r| <= log 2 / 2: the series of exp(r), and n is added to the exponent's bits. */
INLINE TARGET VECTOR NAME(exponential)(VECTOR x)
{
    const VECTOR high = NAME(all)(FLOATS ? 87 : 708), low = -high;
    x = NAME(chosen)((INTEGERS)(x > high), high, NAME(chosen)((INTEGERS)(x < low), low, x));
    /* 1.5 * 2^23 or 2^52: adding it rounds to a whole number, which the low bits then hold */
    const VECTOR shift = NAME(all)(FLOATS ? 12582912.0 : 6755399441055744.0);
    VECTOR shifted = x * (REAL)1.4426950408889634 + shift, n = shifted - shift;
    /* log 2 in two parts, of which n times the first is exact */
    VECTOR r = x - n * (REAL)(FLOATS ? 0.693145751953125 : 0x1.62e42fee00000p-1);
    r -= n * (REAL)(FLOATS ? 1.428606765330187e-06 : 0x1.a39ef35793c76p-33);
    /* r^8 / 8! < 6e-9, r^14 / 14! < 5e-18 */
    static const REAL series[] = {1,           1,           1.0 / 2,       1.0 / 6,        1.0 / 24,
                                  1.0 / 120,   1.0 / 720,   1.0 / 5040,    1.0 / 40320,    1.0 / 362880,
                                  1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    const int degree = FLOATS ? 7 : 13;
    VECTOR sum = NAME(all)(series[degree]);
    UNROLL for (int i = degree - 1; i >= 0; i--)
        sum = sum * r + series[i];
    const int bits = FLOATS ? 23 : 52;
    INTEGERS power = (INTEGERS)shifted + (NAME(integer))(FLOATS ? 127 : 1023);
    return sum * (VECTOR)(power << bits);
}

INLINE TARGET VECTOR NAME(sigmoid)(VECTOR x)
{
    return 1 / (1 + NAME(exponential)(-x));
}

/* The sum of a vector's numbers. */
INLINE TARGET REAL NAME(total)(VECTOR v)
{
    REAL parts[LANES];
    STORE(parts, v);
    UNROLL for (int half = (int)LANES / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++)
            parts[i] += parts[i + half];
    return parts[0];
}

/* The convolution's sums for `count` channels from `channel` on at time t of a sequence, before SiLU. */
INLINE TARGET VECTOR NAME(convolved)(const struct layer_problem *p, const REAL *x, const REAL *start, long t,
                                     long channel, long count)
{
    const REAL *weight = (const REAL *)p->weight + channel;
    VECTOR sum = p->bias == NULL ? (VECTOR){0} : NAME(load)((const REAL *)p->bias + channel, count);
    for (long i = 0, at = t - p->taps + 1; i < p->taps; i++, at++) {
        const REAL *from = at >= 0 ? x + at * p->width : start == NULL ? NULL : start + (at + p->taps - 1) * p->width;
        if (from != NULL)
            sum += NAME(load)(from + channel, count) * NAME(load)(weight + i * p->width, count);
    }
    return sum;
}

static TARGET NOINLINE void NAME(conv_forward)(const struct layer_problem *p, long batch)
{
    long size = p->time * p->width;
    const REAL *x = (const REAL *)p->x + batch * size;
    const REAL *start = p->start == NULL ? NULL : (const REAL *)p->start + batch * (p->taps - 1) * p->width;
    REAL *y = (REAL *)p->y + batch * size;
    for (long t = 0; t < p->time; t++)
        for (long c = 0; c < p->width; c += LANES) {
            long count = p->width - c;
            VECTOR sum = NAME(convolved)(p, x, start, t, c, count);
            NAME(store)(y + t * p->width + c, sum * NAME(sigmoid)(sum), count);
        }
}

/* The gradient of the input at time s, which may be before the sequence: of the sums after it, whose gradients are in
 * `dsums` from time 0 on. */
INLINE TARGET VECTOR NAME(conv_dinput)(const struct layer_problem *p, const REAL *dsums, long s, long channel,
                                       long count)
{
    const REAL *weight = (const REAL *)p->weight + channel;
    VECTOR sum = {0};
    long first = s < 0 ? -s : 0, last = p->time - s < p->taps ? p->time - s : p->taps;
    for (long i = first; i < last; i++)
        sum += NAME(load)(dsums + (s + i) * p->width + channel, count) *
               NAME(load)(weight + (p->taps - 1 - i) * p->width, count);
    return sum;
}

static TARGET NOINLINE void NAME(conv_backward)(const struct layer_problem *p, long batch)
{
    long width = p->width, taps = p->taps, size = p->time * width;
    const REAL *x = (const REAL *)p->x + batch * size, *dy = (const REAL *)p->dy + batch * size;
    const REAL *start = p->start == NULL ? NULL : (const REAL *)p->start + batch * (taps - 1) * width;
    REAL *dx = (REAL *)p->dx + batch * size, *dweight = (REAL *)p->dweight + batch * taps * width;
    REAL *dbias = p->dbias == NULL ? NULL : (REAL *)p->dbias + batch * width;
    memset(dweight, 0, (size_t)(taps * width) * REAL_BYTES);
    if (dbias != NULL)
        memset(dbias, 0, (size_t)width * REAL_BYTES);
    /* First the gradients of the sums, which stand in dx meanwhile: the gradient of an input needs none of a sum before
     * it, so that the second loop can overwrite them in the order of time. */
    for (long t = 0; t < p->time; t++)
        for (long c = 0; c < width; c += LANES) {
            long count = width - c;
            VECTOR sum = NAME(convolved)(p, x, start, t, c, count), s = NAME(sigmoid)(sum);
            VECTOR dsum = NAME(load)(dy + t * width + c, count) * s * (1 + sum * (1 - s));
            NAME(store)(dx + t * width + c, dsum, count);
            if (dbias != NULL)
                NAME(store)(dbias + c, NAME(load)(dbias + c, count) + dsum, count);
            for (long i = 0, at = t - taps + 1; i < taps; i++, at++) {
                const REAL *from = at >= 0 ? x + at * width : start == NULL ? NULL : start + (at + taps - 1) * width;
                REAL *to = dweight + i * width + c;
                if (from != NULL)
                    NAME(store)(to, NAME(load)(to, count) + dsum * NAME(load)(from + c, count), count);
            }
        }
    if (p->dstart != NULL)
        for (long s = 1 - taps; s < 0; s++)
            for (long c = 0; c < width; c += LANES)
                NAME(store)((REAL *)p->dstart + (batch * (taps - 1) + s + taps - 1) * width + c,
                            NAME(conv_dinput)(p, dx, s, c, width - c), width - c);
    for (long s = 0; s < p->time; s++)
        for (long c = 0; c < width; c += LANES)
            NAME(store)(dx + s * width + c, NAME(conv_dinput)(p, dx, s, c, width - c), width - c);
}

static TARGET NOINLINE void NAME(norm_forward)(const struct layer_problem *p, long first, long last)
{
    long width = p->width;
    for (long row = first; row < last; row++) {
        const REAL *x = (const REAL *)p->x + row * width;
        VECTOR squares = {0};
        for (long c = 0; c < width; c += LANES) {
            VECTOR v = NAME(load)(x + c, width - c);
            squares += v * v;
        }
        REAL scale = 1 / (REAL)__builtin_sqrt(NAME(total)(squares) * (REAL)p->factor + (REAL)p->eps);
        if (p->scales != NULL)
            ((REAL *)p->scales)[row] = scale;
        for (long c = 0; c < width; c += LANES) {
            long count = width - c;
            VECTOR v = NAME(load)(x + c, count) * scale;
            if (p->weight != NULL)
                v *= NAME(load)((const REAL *)p->weight + c, count);
            if (p->gating) {
                VECTOR gate = NAME(load)((const REAL *)p->gate + row * width + c, count), s = NAME(sigmoid)(gate);
                v *= p->gating == 1 ? gate * s : s;
            }
            NAME(store)((REAL *)p->y + row * width + c, v, count);
        }
    }
}

/* Of the rows of one part: dx, dgate, and the part's dweight. */
static TARGET NOINLINE void NAME(norm_backward)(const struct layer_problem *p, long part, long first, long last)
{
    long width = p->width;
    REAL *dweight = p->dweight == NULL ? NULL : (REAL *)p->dweight + part * width;
    if (dweight != NULL)
        memset(dweight, 0, (size_t)width * REAL_BYTES);
    for (long row = first; row < last; row++) {
        const REAL *x = (const REAL *)p->x + row * width, *dy = (const REAL *)p->dy + row * width;
        REAL *dx = (REAL *)p->dx + row * width, scale = ((const REAL *)p->scales)[row];
        VECTOR products = {0};
        for (long c = 0; c < width; c += LANES) {
            long count = width - c;
            VECTOR normed = NAME(load)(x + c, count) * scale, d = NAME(load)(dy + c, count);
            VECTOR weight = p->weight == NULL ? NAME(all)(1) : NAME(load)((const REAL *)p->weight + c, count);
            if (p->gating) {
                VECTOR gate = NAME(load)((const REAL *)p->gate + row * width + c, count), s = NAME(sigmoid)(gate);
                VECTOR slope = p->gating == 1 ? s * (1 + gate * (1 - s)) : s * (1 - s);
                NAME(store)((REAL *)p->dgate + row * width + c, d * normed * weight * slope, count);
                d *= p->gating == 1 ? gate * s : s;
            }
            if (dweight != NULL)
                NAME(store)(dweight + c, NAME(load)(dweight + c, count) + d * normed, count);
            d *= weight;
            products += d * normed;
            NAME(store)(dx + c, d, count);
        }
        REAL mean = NAME(total)(products) * (REAL)p->factor;
        for (long c = 0; c < width; c += LANES) {
            long count = width - c;
            VECTOR normed = NAME(load)(x + c, count) * scale;
            NAME(store)(dx + c, (NAME(load)(dx + c, count) - normed * mean) * scale, count);
        }
    }
}

/* y = silu(gate) x, or its gradients, for the numbers from first to last - 1. */
static TARGET NOINLINE void NAME(product)(const struct layer_problem *p, int backward, long first, long last)
{
    for (long i = first; i < last; i += LANES) {
        long count = last - i;
        VECTOR x = NAME(load)((const REAL *)p->x + i, count), gate = NAME(load)((const REAL *)p->gate + i, count);
        VECTOR s = NAME(sigmoid)(gate);
        if (!backward) {
            NAME(store)((REAL *)p->y + i, gate * s * x, count);
        } else {
            VECTOR d = NAME(load)((const REAL *)p->dy + i, count);
            NAME(store)((REAL *)p->dx + i, d * gate * s, count);
            NAME(store)((REAL *)p->dgate + i, d * x * s * (1 + gate * (1 - s)), count);
        }
    }
}

static TARGET int NAME(run)(const struct layer_problem *p, int backward, long first, long last)
{
    for (long part = first; part < last; part++) {
        long begin = part * p->time, end = begin + p->time < p->rows ? begin + p->time : p->rows;
        if (p->operation == 0 && backward)
            NAME(conv_backward)(p, part);
        else if (p->operation == 0)
            NAME(conv_forward)(p, part);
        else if (p->operation == 1 && backward)
            NAME(norm_backward)(p, part, begin, end);
        else if (p->operation == 1)
            NAME(norm_forward)(p, begin, end);
        else
            NAME(product)(p, backward, begin, end);
    }
    return 1;
}

#undef INTEGERS
#undef FLOATS
#undef VECTOR
#undef LANES
#undef LOAD
#undef STORE
