/* Vectors of one number type at one level of instructions: lane.h and layers.h include this with REAL, REAL_BYTES,
 * VECTOR_BYTES, TARGET and NAME() set, and undefine VECTOR and its like at their ends.
 *
 * Vectors are the compiler's own extension, so that speed doesn't depend on what an optimiser finds. Every function
 * carries TARGET, the inlined ones too, because GCC cuts wide vectors into narrow ones before it inlines.
 */

/* `vector` is aligned, for registers; `loose` is for memory at any address, of any type (may_alias). */
typedef REAL NAME(vector) __attribute__((vector_size(VECTOR_BYTES)));
typedef REAL NAME(loose) __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));

#define VECTOR NAME(vector)
#define LANES ((long)(VECTOR_BYTES / REAL_BYTES))
#define LOAD(from) ((VECTOR) * (const NAME(loose) *)(from))
#define STORE(to, what) (*(NAME(loose) *)(to) = (what))
