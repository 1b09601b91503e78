/* Products, triangular solves and transpositions of small matrices in cache, written once for every number type and
 * instruction set: lane.h includes this with REAL, REAL_BYTES, VECTOR_BYTES, TARGET, TILE_ROWS and NAME() set.
 *
 * Matrices are row-major and zero-padded: columns to whole cache lines, rows to multiples of 4.
 */

#include "vectors.h"

/* c = a b, or c += a b, for `rows` x `vectors` vectors of c that stay in registers. Entry (i, p) of a is at
 * a[i * a_row + p * a_column], so that a transposed left factor costs nothing. */
INLINE TARGET void NAME(tile)(REAL *restrict c, long c_row, const REAL *restrict a, long a_row, long a_column,
                              const REAL *restrict b, long b_row, long inner, int add, const int rows,
                              const int vectors)
{
    VECTOR sum[8][2], right[2];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int x = 0; x < vectors; x++)
            sum[i][x] = add ? LOAD(c + i * c_row + x * LANES) : (VECTOR){0};
    for (long p = 0; p < inner; p++) {
        UNROLL for (int x = 0; x < vectors; x++)
            right[x] = LOAD(b + p * b_row + x * LANES);
        UNROLL for (int i = 0; i < rows; i++) {
            REAL left = a[i * a_row + p * a_column];
            UNROLL for (int x = 0; x < vectors; x++)
                sum[i][x] += left * right[x];
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int x = 0; x < vectors; x++)
            STORE(c + i * c_row + x * LANES, sum[i][x]);
}

/* c [rows, columns] = a b, or c += a b if `add`; `rows` is a multiple of 4, `columns` of a cache line. Two vectors of
 * columns at a time, and for the rest one; rows by TILE_ROWS, and for the rest by 4. */
static TARGET NOINLINE void NAME(product)(REAL *restrict c, long c_row, const REAL *restrict a, long a_row,
                                          long a_column, const REAL *restrict b, long b_row, long rows, long columns,
                                          long inner, int add)
{
    for (long x = 0; x < columns;) {
        int vectors = columns - x >= 2 * LANES ? 2 : 1;
        long i = 0;
        for (; i + TILE_ROWS <= rows; i += TILE_ROWS) {
            if (vectors == 2)
                NAME(tile)(c + i * c_row + x, c_row, a + i * a_row, a_row, a_column, b + x, b_row, inner, add,
                           TILE_ROWS, 2);
            else
                NAME(tile)(c + i * c_row + x, c_row, a + i * a_row, a_row, a_column, b + x, b_row, inner, add,
                           TILE_ROWS, 1);
        }
        for (; i < rows; i += 4) {
            if (vectors == 2)
                NAME(tile)(c + i * c_row + x, c_row, a + i * a_row, a_row, a_column, b + x, b_row, inner, add, 4, 2);
            else
                NAME(tile)(c + i * c_row + x, c_row, a + i * a_row, a_row, a_column, b + x, b_row, inner, add, 4, 1);
        }
        x += vectors * LANES;
    }
}

/* x [KEYS, columns] <- (I + a)^-1 x by forward substitution; of a only the part below the diagonal is read. A column of
 * KEYS vectors stays in registers. Substitution, not Neumann doubling, which is wrong where keys repeat at beta = 2. */
static TARGET NOINLINE void NAME(solve)(REAL *restrict x, long columns, const REAL *restrict a)
{
    for (long at = 0; at < columns; at += LANES) {
        VECTOR row[KEYS];
        UNROLL for (int i = 0; i < KEYS; i++)
            row[i] = LOAD(x + i * columns + at);
        UNROLL for (int j = 0; j < KEYS; j++)
            UNROLL for (int i = j + 1; i < KEYS; i++)
                row[i] -= a[i * KEYS + j] * row[j];
        UNROLL for (int i = 1; i < KEYS; i++)
            STORE(x + i * columns + at, row[i]);
    }
}

/* x [KEYS, columns] <- (I + a)^-T x by backward substitution: the gradient of `solve`. */
static TARGET NOINLINE void NAME(solve_transposed)(REAL *restrict x, long columns, const REAL *restrict a)
{
    for (long at = 0; at < columns; at += LANES) {
        VECTOR row[KEYS];
        UNROLL for (int i = 0; i < KEYS; i++)
            row[i] = LOAD(x + i * columns + at);
        UNROLL for (int j = KEYS - 1; j >= 0; j--)
            UNROLL for (int i = 0; i < j; i++)
                row[i] -= a[j * KEYS + i] * row[j];
        UNROLL for (int i = 0; i < KEYS - 1; i++)
            STORE(x + i * columns + at, row[i]);
    }
}

/* to [columns, rows] = from [rows, columns] transposed, in blocks of one 16-byte vector by another: entry by entry it
 * would cost as much as a product. */
static TARGET NOINLINE void NAME(transpose)(REAL *restrict to, const REAL *restrict from, long rows, long columns)
{
    typedef REAL block __attribute__((vector_size(16), may_alias));
    for (long i = 0; i < rows; i += 16 / REAL_BYTES)
        for (long x = 0; x < columns; x += 16 / REAL_BYTES) {
            const REAL *in = from + i * columns + x;
            REAL *out = to + x * rows + i;
#define IN(r) (*(const block *)(in + (r) * columns))
#define OUT(r) (*(block *)(out + (r) * rows))
#if REAL_BYTES == 4
            block a = SHUFFLE(IN(0), IN(1), 0, 4, 1, 5), b = SHUFFLE(IN(0), IN(1), 2, 6, 3, 7);
            block c = SHUFFLE(IN(2), IN(3), 0, 4, 1, 5), d = SHUFFLE(IN(2), IN(3), 2, 6, 3, 7);
            OUT(0) = SHUFFLE(a, c, 0, 1, 4, 5), OUT(1) = SHUFFLE(a, c, 2, 3, 6, 7);
            OUT(2) = SHUFFLE(b, d, 0, 1, 4, 5), OUT(3) = SHUFFLE(b, d, 2, 3, 6, 7);
#else
            block a = SHUFFLE(IN(0), IN(1), 0, 2), b = SHUFFLE(IN(0), IN(1), 1, 3);
            OUT(0) = a, OUT(1) = b;
#endif
#undef IN
#undef OUT
        }
}

/* to = factor * from, a row of any width; the two may be one. */
INLINE TARGET void NAME(scaled)(REAL *to, const REAL *from, REAL factor, long width)
{
    long x = 0;
    for (; x + LANES <= width; x += LANES)
        STORE(to + x, factor * LOAD(from + x));
    for (; x < width; x++)
        to[x] = factor * from[x];
}

/* The sum of the products of two rows of any width. */
INLINE TARGET REAL NAME(dot)(const REAL *restrict a, const REAL *restrict b, long width)
{
    VECTOR sums = {0};
    REAL sum = 0;
    long x = 0;
    for (; x + LANES <= width; x += LANES)
        sums += LOAD(a + x) * LOAD(b + x);
    for (; x < width; x++)
        sum += a[x] * b[x];
    UNROLL for (int i = 0; i < (int)LANES; i++)
        sum += sums[i];
    return sum;
}
